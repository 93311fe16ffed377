"""Read files of the released codes without executing code in them (`vireid.core.weight_files`)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from vireid.core.weight_files import read_mappings


def read_tensors(path: Path) -> list[dict[str, Tensor]]:
    """Read every mapping of names to tensors in a file, at least one. No code in the file is executed.

    Raises:
        CheckpointError: If the file is missing, is of another kind, needs code to be executed, or holds no tensors.
    """
    return [mapping.tensors for mapping in read_mappings(path)]
