"""Files of the released codes, read without running what is in them.

They were saved by `torch.save`: pickles, in which any code could stand. torch's reader for weights takes tensors and
plain containers; the numbers of NumPy that most releases store beside them (accuracy, CMC) are read as empty objects.
Everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vireid.core.errors import CheckpointError

DEPTH = 4  # how deep mappings are looked into


class _Nothing:
    """In place of a NumPy object: takes any arguments and any state, keeps none."""

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
    """torch's reader knows the stand-ins, and afterwards what it knew before."""
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(_STAND_INS)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def read_tensors(path: Path) -> list[dict[str, Tensor]]:
    """Every mapping of names to tensors in a file of `torch.save`, at least one.

    Errors: CheckpointError for a file that is not there, is no such file, holds code or no tensors. No code in it runs.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file")
    try:
        with _stand_ins():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises a dozen kinds; all mean that it is not what it should be
        raise CheckpointError(f"{path}: {_fault(error)}") from error
    found = list(_mappings(content, DEPTH))
    if not found:
        raise CheckpointError(f"{path}: holds no named tensors")
    return found


def _mappings(content: object, depth: int) -> Iterator[dict[str, Tensor]]:
    if not isinstance(content, Mapping) or not depth:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield tensors
    for value in content.values():
        yield from _mappings(value, depth - 1)


def _fault(error: Exception) -> str:
    text = str(error)
    if match := re.search(r"GLOBAL (\S+)|function (<.*>)", text):
        wanted = match[1] or match[2]
        return f"asks for {wanted}, which no file of weights needs; refused, and nothing of it was run"
    first = next(iter(text.strip().splitlines()), "")
    return f"cannot be read as a file of torch.save ({type(error).__name__}: {first[:200]})"
