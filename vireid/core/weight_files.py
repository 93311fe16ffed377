"""Read weight files of other code: named tensors, without running code, matched to the names of a network.

Checkpoints of torch are pickles, which can contain any code. The weights-only reader of torch accepts tensors and plain
containers. NumPy objects (accuracy, CMC) are replaced by empty objects. Everything else is refused.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vireid.core.errors import CheckpointError

DEPTH = 4  # levels of nested mappings that are searched for tensors
PREFERRED = ("state_dict", "model", "net", "teacher")  # of several mappings that fit equally well
COMPILED = "_orig_mod"  # module name that torch.compile inserts
_ARCHIVES = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR"}


class _Nothing:
    """Stand-in for a NumPy object: accepts any arguments and any state, keeps none."""

    def __new__(cls, *_arguments: Any) -> _Nothing:
        return object.__new__(cls)

    def __init__(self, *_arguments: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...


def _nothing(full_name: str) -> type[_Nothing]:
    """The stand-in for one name; torch finds it by its module and name."""
    module, _, name = full_name.rpartition(".")
    return type(name, (_Nothing,), {"__module__": module, "__qualname__": name})


_STAND_INS: list[Any] = [
    _nothing(name)
    for name in (
        *(f"numpy.{core}.multiarray.{what}" for core in ("core", "_core") for what in ("scalar", "_reconstruct")),
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
    )
]


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Register the stand-ins with torch's reader; restore its list afterwards."""
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(_STAND_INS)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


@dataclass(frozen=True)
class NamedTensors:
    """One mapping of names to tensors in a file, and the keys that lead to it: "" at the top, "run.state_dict"."""

    place: str
    tensors: dict[str, Tensor]


def read_mappings(path: Path) -> list[NamedTensors]:
    """Read every mapping of names to tensors in a file of `torch.save` or a safetensors file, at least one.

    Raises:
        CheckpointError: The file is missing, is another kind of file (named in the text), requires code, or contains no
            named tensors. No code of the file runs.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: {'is a folder' if path.is_dir() else 'file does not exist'}")
    if path.suffix == ".safetensors":
        return [NamedTensors("", read_safetensors(path))]
    try:
        with _stand_ins(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises to report the file to its developers
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise exceptions of many types
        raise CheckpointError(f"{path}: {unreadable(path, error)}") from error
    mappings = list(_mappings(content, DEPTH))
    if not mappings:
        raise CheckpointError(f"{path}: contains no named tensors")
    return mappings


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; CheckpointError names what the file is instead."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as a safetensors file: {file_kind(path, torch_wanted=False)}"
        ) from error


def _mappings(content: object, depth: int, place: str = "") -> Iterator[NamedTensors]:
    if not isinstance(content, Mapping) or not depth:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield NamedTensors(place, tensors)
    for key, value in content.items():
        yield from _mappings(value, depth - 1, f"{place}.{key}" if place else str(key))


def unreadable(path: Path, error: Exception) -> str:
    """Describe why torch could not read a file: the code that it requires, or the kind of the file."""
    if match := re.search(r"GLOBAL (\S+)|function (<.*>)", str(error)):
        wanted = match[1] or match[2]
        return f"requires {wanted}, which files of weights do not need; refused, no code of the file was run"
    return f"cannot be read as a file of torch.save: {file_kind(path)}"


def file_kind(path: Path, *, torch_wanted: bool = True) -> str:
    """Describe a file by its first bytes: "is empty (0 bytes)", "is an HTML page ...", "is a git-lfs pointer ...".

    For files that could not be read as weights, of `torch.save` or safetensors; never raises.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        return f"cannot be opened ({error.strerror or error})"
    if not size:
        return "is empty (0 bytes); download or copy it again"
    if head.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the file itself; run `git lfs pull` where it was cloned"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<(!doctype html|html|head|body|script|!--)", text):
        title = re.search(rb"<title[^>]*>\s*([^<]{1,80}?)\s*</title>", head, re.IGNORECASE)
        named = f" ({title[1].decode('utf-8', 'replace')!r})" if title else ""
        return f"is an HTML page{named}, not the file itself; the download needs a login or a confirmation"
    if text.startswith((b"<?xml", b"{", b"[")):
        return f"is {'XML' if text.startswith(b'<') else 'JSON'} text, perhaps the error message of a server"
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            return f"is a {name} archive; unpack it and name the file inside"
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it and name the file inside"
    if head.startswith(b"\x89HDF"):
        return "is an HDF5 file (Keras); only files of PyTorch are read"
    return _tensor_file_kind(path, head, size, torch_wanted)


def _tensor_file_kind(path: Path, head: bytes, size: int, torch_wanted: bool) -> str:
    if head.startswith(b"PK"):
        if not zipfile.is_zipfile(path):
            return f"is cut short ({size} bytes): the end of the file is missing; download or copy it again"
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            fault = " that is damaged or of an unknown version" if torch_wanted else ""
            return f"is a file of torch.save{fault}{'; name it .pth' if path.suffix == '.safetensors' else ''}"
        return f"is a zip archive ({', '.join(names[:3])}); unpack it and name the file inside"
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length:
        whole = "is a safetensors file by its content; name it .safetensors"
        cut = f"is a safetensors file that is cut short or damaged ({size} bytes); download or copy it again"
        return whole if path.suffix != ".safetensors" and 8 + length <= size else cut
    if head.startswith(b"\x80"):
        return "is a pickle, damaged or of things that are not tensors"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return f"is text that begins {head[:40].decode().splitlines()[0]!r}"
    return f"is of an unknown kind or damaged ({size} bytes)"


# -- names


@dataclass(frozen=True)
class Renamed:
    """Tensors renamed to the names of a network, and the changes."""

    tensors: dict[str, Tensor]
    prefix: str = ""  # removed from every name
    outside: int = 0  # tensors that do not have the prefix and were left out
    others: tuple[str, ...] = ()  # prefixes that fit as well
    compiled: bool = False  # `_orig_mod` was removed from names
    fitting: int = 0  # names that the network has

    @property
    def changes(self) -> list[str]:
        """Changes of the names, in words; empty if there were none."""
        changes = []
        if self.prefix:
            changes.append(f"removed the prefix {self.prefix!r} from {len(self.tensors)} names")
        if self.compiled:
            changes.append(f"removed {COMPILED!r}, which torch.compile inserts")
        if self.outside:
            also = f" ({', '.join(map(repr, self.others))} fits as well)" if self.others else ""
            changes.append(f"left out {self.outside} tensors outside that prefix{also}")
        return changes


def without_prefix(tensors: Mapping[str, Tensor], known: Iterable[str]) -> Renamed:
    """Remove the common prefix (`module.`, `module.encoder_q.`, `backbone.`, ...) that makes most names known.

    Names stay as they are where no prefix makes more of them known. Of prefixes that fit equally well the first in the
    file is taken.

    Example:
        >>> without_prefix({"module.a.b": torch.zeros(1), "queue": torch.zeros(1)}, ["a.b"]).changes
        ["removed the prefix 'module.' from 1 names", 'left out 1 tensors outside that prefix']
    """
    known = set(known)
    plain = {_uncompiled(name): value for name, value in tensors.items()}
    compiled = len(plain) == len(tensors) and plain.keys() != tensors.keys() and known == set(map(_uncompiled, known))
    named = plain if compiled else dict(tensors)
    counts: Counter[str] = Counter()
    for name in named:
        for start in [0, *(match.end() for match in re.finditer(r"\.", name))]:
            if name[start:] in known:
                counts[name[:start]] += 1
    if not counts:
        return Renamed(dict(tensors))
    most = max(counts.values())
    if counts[""] == most:
        return Renamed(named, compiled=compiled, fitting=most)
    prefix, *others = [prefix for prefix, count in counts.items() if count == most]
    inside = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
    return Renamed(inside, prefix, len(named) - len(inside), tuple(others), compiled, most)


def _uncompiled(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != COMPILED)


def best_mapping(mappings: Sequence[NamedTensors], known: Iterable[str]) -> tuple[Renamed, str]:
    """Choose the mapping of a file, with or without a prefix, that has most of the known names.

    Returns:
        The renamed tensors, and what was done to get them in one line of words ("" for nothing).
    """
    known = set(known)
    tried = [(mapping.place, without_prefix(mapping.tensors, known)) for mapping in mappings]
    most = max(renamed.fitting for _, renamed in tried)
    equal = [pair for pair in tried if pair[1].fitting == most]
    place, renamed = min(equal, key=lambda pair: _preference(pair[0]))
    others = [f"{other or 'the top'!r}" for other, _ in equal if other != place] if most else []
    also = f" ({', '.join(others)} fits as well)" if others else ""
    words = [f"read {place!r}{also}"] if others else []
    return renamed, ", ".join([*words, *renamed.changes])


def _preference(place: str) -> int:
    last = place.rpartition(".")[2]
    return PREFERRED.index(last) if last in PREFERRED else len(PREFERRED)


def missing_prefix(saved: Iterable[str], known: Iterable[str]) -> str:
    """Prefix that the names of a file lack to match a network; "" if the difference is not one prefix."""
    saved = list(saved)
    blank = torch.empty(0)
    reverse = without_prefix(dict.fromkeys(known, blank), saved)
    return reverse.prefix if saved and 2 * reverse.fitting > len(saved) else ""
