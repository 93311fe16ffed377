"""Load a trained model from a run folder, a bundle or an exported file, and write a bundle of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from vireid.config.load import read_unchecked
from vireid.config.network import model_tree
from vireid.core.errors import UserError
from vireid.core.paths import normalized_path
from vireid.embedder.bundle import CONFIG, read_bundle, write_bundle
from vireid.embedder.description import ModelDescription
from vireid.embedder.embedder import Embedder
from vireid.embedder.exported import is_exported, load_exported
from vireid.engine.checkpoint import CheckpointFolder
from vireid.engine.distributed import Device, Environment, Precision
from vireid.engine.trainer import place
from vireid.engine.weights_origin import META, stored_facts, stored_inputs
from vireid.experiment.experiment import Experiment
from vireid.interop.hub import is_hub_reference
from vireid.runs.folder import RunFolder
from vireid.runs.metrics import Metrics
from vireid.runs.thresholds import thresholds_of
from vireid.zoo.weights import shipped_names


def load(
    path: str | Path,
    *,
    device: Device = "auto",
    precision: Precision | None = None,
    batch: int = 64,
    trusted: bool = False,
) -> Embedder:
    """Load a trained model.

    Args:
        path: A run folder, of which the selected checkpoint is loaded, a bundle folder, a file of `vireid export`
            (.onnx, .xml, .pt2), or "hf://OWNER/NAME" or "hf://OWNER/NAME@REVISION": a bundle on a Hugging Face hub.
            Neither the dataset nor the image cache of the run has to exist.
        device: "auto" is a CUDA device if one is available.
        precision: "auto" is bfloat16 if the hardware computes it natively; None: PRECISION of the run.
        batch: Images in a batch.
        trusted: Open a .pt2 file. PyTorch unpickles parts of it, which can execute code of its author.

    Raises:
        UserError: If the folder is neither, or its model cannot be used.
        CheckpointError: If its weights are missing or damaged.

    Example:
        embedder = vireid.load("runs/sysu/mmd")
        embeddings = embedder("night.png", modality="infrared")
    """
    if is_hub_reference(path):
        from vireid.embedder.sharing import from_hub  # it imports this module

        return from_hub(str(path), device=device, precision=precision, batch=batch)
    folder = normalized_path(path)
    if is_exported(folder):
        return load_exported(folder, device=device, precision=precision, batch=batch, trusted=trusted)
    if is_bundle(folder):
        network, description, _ = read_bundle(folder)
        environment = Environment(device=device, precision=precision or description.precision)  # type: ignore[arg-type]
        place(network, environment.device)
        return Embedder(network, description, environment, batch=batch)
    require_run(folder)
    overrides: dict[str, Any] = {"OUTPUT_DIR": str(folder), "WEIGHTS": None, "DEVICE": device}
    if precision is not None:
        overrides["PRECISION"] = precision
    experiment = Experiment.from_config(RunFolder(folder).config, overrides)
    network, selection, environment = experiment.deployed()
    described, thresholds = describe(experiment, selection), experiment.folder.thresholds
    if thresholds.exists():
        described = replace(described, decision=thresholds_of(thresholds, described.fingerprint(network)))
    return Embedder(network, described, environment, batch=batch)


def save_bundle(run: str | Path, folder: str | Path, *, license: str | None = None) -> Path:
    """Write the model of a run as a bundle: `model.safetensors`, `config.json` and `README.md`, a model card.

    A bundle has no tensors of training identities, and nothing of it names a path of this machine.

    Args:
        run: A run folder, or a bundle folder, whose model card is written again.
        folder: Folder to write, by an atomic rename. An existing bundle is replaced; another folder is refused.
        license: License of the weights, such as "CC BY-NC 4.0"; None: not stated.

    Returns:
        The folder.

    Raises:
        UserError: If the run cannot be loaded, or `folder` exists and is not a bundle.
    """
    target = bundle_target(folder)
    write_bundle(to_share(run), target, license=license)
    return target


def bundle_target(folder: str | Path) -> Path:
    """Return the path of a bundle to write; UserError if it exists and is not a bundle."""
    target = normalized_path(folder)
    if target.exists() and not (target / CONFIG).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target}: exists and is not a bundle; name another folder")
    return target


def to_share(run: str | Path) -> Embedder:
    """Load a model on the CPU; the training facts of a run also name the shipped configs that it agrees with."""
    embedder = load(run, device="cpu")
    if not is_hub_reference(run) and not is_bundle(normalized_path(run)):
        names = shipped_names(read_unchecked(RunFolder(normalized_path(run)).config))
        training = {**embedder.description.training, "configs": list(names)}
        embedder.description = replace(embedder.description, training=training)
    return embedder


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle, perhaps a damaged one."""
    return (folder / CONFIG).is_file()


def require_run(folder: Path) -> None:
    """Raise UserError if a folder is not a run."""
    if not folder.exists():
        raise UserError(f"{folder}: does not exist; name a run folder or a bundle folder")
    if RunFolder(folder).config.is_file():
        return
    hint = f"; it is a checkpoint of the run {folder.parents[1]}" if (folder / META).is_file() else ""
    raise UserError(
        f"{folder}: is neither a run folder (config.yml, checkpoints/) nor a bundle ({CONFIG}, model.safetensors){hint}"
    )


def describe(experiment: Experiment, selection: str) -> ModelDescription:
    """Description of the network that `Experiment.deployed` loads; its decision rule is not read."""
    config, folder = experiment.config, experiment.folder
    checkpoints = CheckpointFolder(folder.checkpoints)
    newest = checkpoints.path(checkpoints.epochs()[-1])
    facts, inputs = stored_facts(newest), stored_inputs(newest) or {}
    info = experiment.build.info
    training = {**facts, "checkpoint": selection, "seed": config.SEED, "listing": inputs.get("training")}
    return ModelDescription(
        model=model_tree(experiment.checked),
        info=info,
        size=tuple(config.SIZE),
        depth=_plain(config.DATA.get("DEPTH")),
        flips=config.FLIP_TEST,
        precision=config.PRECISION,
        training=training,
        metrics=_metrics(folder, selection),
    )


def _metrics(folder: RunFolder, selection: str) -> dict[str, Any]:
    """Results of the run with the checkpoint that is loaded; empty if it was not evaluated."""
    if not folder.evaluated:
        return {}
    reports = Metrics.read(folder.metrics).reports
    return {
        name: {"mean": report.means, "spread": report.spread, "conditions": dict(report.conditions)}
        for name, report in reports.items()
        if report.conditions["checkpoint"] == selection
    }


def _plain(value: Any) -> Any:
    return None if value is None else json.loads(json.dumps(dict(value)))
