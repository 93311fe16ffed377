"""Models on a Hugging Face hub: references, upload and download of files, and the models of an owner.

`huggingface_hub` is imported on first use. Its errors become one `UserError` (`interop.hub_errors`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import vireid
from vireid.core.errors import ArgumentError, UserError
from vireid.interop.hub_errors import hub_errors

LIBRARY = "vireid"  # `library_name` of the model cards, by which the models of an owner are found
_REFERENCE = re.compile(r"(?:hf:/{1,2})?([^@]*)(?:@(.+))?", re.DOTALL)
_REPO = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_OWNER = re.compile(r"hf:/{1,2}([\w-][\w.-]*)/?", re.ASCII)


@dataclass(frozen=True)
class HubReference:
    """A repository of a hub.

    Args:
        repo: "OWNER/NAME".
        revision: Branch, tag or commit; None: the main branch.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str | Path, parameter: str = "repo_id") -> HubReference:
        """Read "OWNER/NAME", "OWNER/NAME@REVISION", or one of these after "hf://".

        Args:
            text: The reference. A `Path`, which has one slash after "hf:", is accepted as well.
            parameter: Name in the error.

        Raises:
            ArgumentError: For any other text.

        Example:
            >>> HubReference.parse("hf://ann/mmd@v1")
            HubReference(repo='ann/mmd', revision='v1')
        """
        found = _REFERENCE.fullmatch(str(text))
        repo, revision = found.groups() if found else ("", None)
        # the rules of the hub; an invalid name is reported before a connection is opened
        invalid = not _REPO.fullmatch(repo) or ".." in repo or "--" in repo or repo.endswith((".git", ".", "-", "/-"))
        if invalid or (revision is None and str(text).endswith("@")):
            raise ArgumentError(
                parameter,
                f"must be OWNER/NAME or OWNER/NAME@REVISION of letters, digits, '-', '_' and '.', got {str(text)!r}",
            )
        return cls(repo, revision)

    def __str__(self) -> str:
        return f"hf://{self.repo}{'' if self.revision is None else f'@{self.revision}'}"


def is_hub_reference(path: str | Path) -> bool:
    """Return whether a path starts with "hf://".

    Example:
        >>> is_hub_reference("hf://ann/mmd"), is_hub_reference("runs/mmd")
        (True, False)
    """
    return str(path).startswith("hf:/")


def hub_owner(path: str | Path) -> str:
    """Return OWNER of "hf://OWNER"; ArgumentError for another text."""
    found = _OWNER.fullmatch(str(path))
    if not found:
        raise ArgumentError("weights", f"must be a folder or hf://OWNER, got {str(path)!r}")
    return found[1]


class Hub:
    """A Hugging Face hub.

    Args:
        endpoint: Address; None: the environment variable HF_ENDPOINT, or the public hub.
        token: Access token; None: HF_TOKEN, or that of `hf auth login`.

    Raises:
        ArgumentError: If the token has spaces or line breaks. The text does not contain it.
    """

    def __init__(self, *, endpoint: str | None = None, token: str | None = None) -> None:
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise ArgumentError("token", "must be printable ASCII characters without spaces; copy it again")
        self.endpoint = endpoint or os.environ.get("HF_ENDPOINT") or None
        self.token = token

    def upload(
        self,
        reference: HubReference,
        files: Mapping[str, Path],
        *,
        message: str,
        private: bool = False,
    ) -> str:
        """Write files in one commit; the repository and the branch are created if they do not exist.

        Other files of the repository are not changed.

        Args:
            reference: Repository and branch.
            files: Name in the repository -> local file.
            message: Message of the commit.
            private: Create a private repository. An existing public one is refused.

        Returns:
            Hash of the commit.

        Raises:
            UserError: If the hub cannot be reached or refuses the upload.
        """
        library = _library(reference)
        with hub_errors(reference, self.token):
            api = self._api(library)
            api.create_repo(reference.repo, private=private, exist_ok=True)
            if private and not api.model_info(reference.repo).private:
                raise UserError(
                    f"{reference}: exists and is public; make it private in its settings, or push to another name"
                )
            if reference.revision is not None:
                api.create_branch(reference.repo, branch=reference.revision, exist_ok=True)
            operations = [
                library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path)) for name, path in files.items()
            ]
            commit = api.create_commit(reference.repo, operations, commit_message=message, revision=reference.revision)
            return str(commit.oid)

    def download(self, reference: HubReference, names: Sequence[str], *, cache_dir: str | Path | None = None) -> Path:
        """Download files of one commit into the cache and return their folder.

        Without a connection, or with HF_HUB_OFFLINE=1, the files of an earlier download are taken.

        Args:
            reference: Repository and revision.
            names: Names of the files.
            cache_dir: Cache folder; None: that of huggingface_hub (HF_HUB_CACHE).

        Raises:
            UserError: If the files cannot be downloaded, or one of them does not exist.
        """
        library = _library(reference)
        with hub_errors(reference, self.token):
            folder = Path(
                library.snapshot_download(
                    reference.repo,
                    revision=reference.revision,
                    allow_patterns=list(names),
                    cache_dir=None if cache_dir is None else str(cache_dir),
                    endpoint=self.endpoint,
                    token=self.token,
                    library_name=LIBRARY,
                    library_version=vireid.__version__,
                )
            )
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"{reference}: has no {' and no '.join(missing)}, so it is not a vireid bundle; `vireid push RUN"
                f" OWNER/NAME` writes one"
            )
        return folder

    def models(self, owner: str) -> list[str]:
        """Return the vireid models of an owner as "OWNER/NAME", sorted; empty if the owner has none.

        Raises:
            UserError: If the hub cannot be reached.
        """
        place = f"hf://{owner}"
        library = _library(place)
        with hub_errors(place, self.token):
            found = self._api(library).list_models(author=owner, filter=LIBRARY)
            return sorted(str(model.id) for model in found)

    def _api(self, library: ModuleType):
        return library.HfApi(
            endpoint=self.endpoint, token=self.token, library_name=LIBRARY, library_version=vireid.__version__
        )


def _library(place: object) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            f"{place}: needs the package huggingface_hub ({error}); install it with: pip install 'vireid[hub]'"
        ) from error
    return huggingface_hub
