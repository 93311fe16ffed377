"""Share models: push bundles to a Hugging Face hub, and load or copy them from there."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import vireid
from vireid.core.errors import ArgumentError, CheckpointError, UserError
from vireid.core.io import replaced_folder
from vireid.core.paths import normalized_path
from vireid.core.registries import DATASETS
from vireid.embedder.bundle import read_bundle, write_bundle
from vireid.embedder.embedder import Embedder
from vireid.embedder.loading import bundle_target, is_bundle, load, to_share
from vireid.engine.distributed import Device, Precision
from vireid.interop.hub import Hub, HubReference, is_hub_reference
from vireid.runs.bundle_folder import FILES, MODEL, read_config


def push_to_hub(
    model: str | Path,
    repo_id: str,
    *,
    license: str | None = None,
    training_data: str | None = None,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a model as a bundle to a Hugging Face hub, in one commit.

    The files of the bundle are uploaded, and nothing else of the folder. Other files of the repository stay as they
    are. `README.md` is written again: its code names the repository.

    Args:
        model: A run folder or a bundle folder.
        repo_id: "OWNER/NAME"; created if it does not exist.
        license: License of the weights, such as "CC BY-NC 4.0"; None: that of the bundle.
        training_data: Name of the training data; None: that of the bundle, or the dataset of the run. It must be given
            for images of a CSV file.
        private: Create a private repository. An existing public one is refused.
        token: Access token with write permission; None: HF_TOKEN, or that of `hf auth login`.
        revision: Branch; created if it does not exist. None: the main branch.
        endpoint: Address of the hub; None: HF_ENDPOINT, or the public hub.
        message: Message of the commit.

    Returns:
        "hf://OWNER/NAME@COMMIT", which `vireid.load` takes.

    Raises:
        ArgumentError: If `repo_id` is not valid, or the license or the training data is not known.
        UserError: If the model cannot be loaded or the hub refuses the upload.

    Example:
        vireid.push_to_hub("runs/sysu/mmd", "ann/sysu-mmd", license="CC BY-NC 4.0")
    """
    reference = HubReference.parse(repo_id)
    if reference.revision is not None:
        raise ArgumentError("repo_id", f"must be OWNER/NAME, got {repo_id!r}; pass the branch as `revision`")
    hub = Hub(endpoint=endpoint, token=token)
    license = license or _stated_license(model)
    if not license or not license.strip():
        raise ArgumentError(
            "license",
            "is missing, and a shared model must state the license of its weights; pass it, such as"
            " license='CC BY-NC 4.0' (`--license` of the command)",
        )
    embedder = to_share(model)
    _name_training_data(embedder, training_data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        write_bundle(embedder, folder, license=license.strip(), place=str(reference))
        if not is_hub_reference(model) and is_bundle(normalized_path(model)):
            shutil.copyfile(normalized_path(model) / MODEL, folder / MODEL)  # the same bytes: not uploaded again
        commit = hub.upload(
            HubReference(reference.repo, revision),
            {name: folder / name for name in FILES},
            message=message or f"Upload a model with vireid {vireid.__version__}",
            private=private,
        )
    return str(HubReference(reference.repo, commit))


def from_hub(
    repo_id: str,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
    device: Device = "auto",
    precision: Precision | None = None,
    batch: int = 64,
) -> Embedder:
    """Download a bundle of a Hugging Face hub into the cache, verify its fingerprint and load it.

    `vireid.load("hf://OWNER/NAME@REVISION")` does the same with the default hub and cache. Files that are in the cache
    are not downloaded again; without a connection, or with HF_HUB_OFFLINE=1, those in the cache are used.

    Args:
        repo_id: "OWNER/NAME" or "OWNER/NAME@REVISION".
        revision: Branch, tag or commit; None: the main branch.
        endpoint: Address of the hub; None: HF_ENDPOINT, or the public hub.
        cache_dir: Cache folder; None: that of huggingface_hub (HF_HUB_CACHE).
        token: Access token; None: HF_TOKEN, or that of `hf auth login`.
        device: See `vireid.load`.
        precision: See `vireid.load`.
        batch: See `vireid.load`.

    Raises:
        UserError: If the files cannot be downloaded or are not a bundle of this version, or the model needs plug-ins.
        CheckpointError: If the files are damaged.
    """
    reference = _reference(repo_id, revision)
    folder = _download(reference, Hub(endpoint=endpoint, token=token), cache_dir)
    try:
        return load(folder, device=device, precision=precision, batch=batch)
    except CheckpointError as error:
        raise _damaged(reference, folder, error) from error


def pull_from_hub(
    repo_id: str,
    folder: str | Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
) -> Path:
    """Download a bundle of a Hugging Face hub into a folder, by an atomic rename.

    The fingerprint is verified, unless the model needs plug-ins: these are imported when the folder is loaded.

    Args:
        repo_id: "OWNER/NAME" or "OWNER/NAME@REVISION".
        folder: Folder to write. An existing bundle is replaced; another folder is refused.
        revision: See `from_hub`.
        endpoint: See `from_hub`.
        cache_dir: See `from_hub`.
        token: See `from_hub`.

    Returns:
        The folder.

    Raises:
        UserError: If the files cannot be downloaded or are not a bundle, or `folder` exists and is not a bundle.
        CheckpointError: If the files are damaged.
    """
    target, reference = bundle_target(folder), _reference(repo_id, revision)
    downloaded = Hub(endpoint=endpoint, token=token).download(reference, FILES, cache_dir=cache_dir)
    if not _plugins(downloaded):
        try:
            read_bundle(downloaded)
        except CheckpointError as error:
            raise _damaged(reference, downloaded, error) from error
    with replaced_folder(target) as aside:
        for name in FILES:
            shutil.copyfile(downloaded / name, aside / name)
    return target


def _reference(repo_id: str, revision: str | None) -> HubReference:
    reference = HubReference.parse(repo_id)
    if revision is None:
        return reference
    if reference.revision not in (None, revision):
        raise ArgumentError("revision", f"is {revision!r}, and repo_id names {reference.revision!r}; give one of them")
    return HubReference(reference.repo, revision)


def _download(reference: HubReference, hub: Hub, cache_dir: str | Path | None) -> Path:
    """Download a bundle; UserError if it names plug-ins, because loading it would import modules that others named."""
    folder = hub.download(reference, FILES, cache_dir=cache_dir)
    if plugins := _plugins(folder):
        raise UserError(
            f"{reference}: the network needs the plug-ins {', '.join(plugins)}, which are not part of a bundle. If you"
            f" have these modules and trust them: `vireid pull {str(reference).removeprefix('hf://')} --out FOLDER`,"
            " then load the folder"
        )
    return folder


def _plugins(folder: Path) -> list[str]:
    try:
        return [str(name) for name in read_config(folder)["model"]["IMPORTS"]]
    except (KeyError, TypeError):
        return []  # reported when the bundle is read


def _damaged(reference: HubReference, folder: Path, error: CheckpointError) -> CheckpointError:
    return CheckpointError(f"{reference}: {error}\n    To download it again, delete {folder.parents[1]}")


def _stated_license(model: str | Path) -> str | None:
    """License that a bundle states; None for a run."""
    if is_hub_reference(model):
        return None
    folder = normalized_path(model)
    return read_config(folder).get("license") if is_bundle(folder) else None


def _name_training_data(embedder: Embedder, name: str | None) -> None:
    """Store the name of the training data for the card; ArgumentError if it is needed and not given."""
    training = embedder.description.training
    if name is not None and name.strip():
        embedder.description = replace(embedder.description, training={**training, "name": name.strip()})
        return
    data = training.get("data")
    known = data and getattr(DATASETS.get(data).target if data in DATASETS else None, "states_origin", True)
    if not (known or training.get("name")):
        raise ArgumentError(
            "training_data",
            f"is missing, and the card of a shared model must name the training data: {data or 'the model'} does not"
            " state it; pass a name, such as training_data='20 students on our campus, 2024' (`--training-data` of the"
            " command)",
        )
