"""Files of the released codes, read without running what is in them (`vireid.core.weight_files`)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from vireid.core.weight_files import read_mappings


def read_tensors(path: Path) -> list[dict[str, Tensor]]:
    """Every mapping of names to tensors in a file, at least one.

    Errors: CheckpointError for a file that is missing, of another kind, asks for code or holds no tensors. No code in
    it runs.
    """
    return [found.tensors for found in read_mappings(path)]
