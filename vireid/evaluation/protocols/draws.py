"""Conventions for drawing a gallery of a few images of each (identity, camera).

They draw different images, so numbers are comparable only within one convention.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from vireid.core.errors import DataError
from vireid.core.types import EmbeddingTable


def check_shots(table: EmbeddingTable, folders: Sequence[np.ndarray], shots: int) -> None:
    """Raise DataError if an (identity, camera) has fewer than `shots` images."""
    for rows in folders:
        if len(rows) < shots:
            raise DataError(
                f"{shots} shots of identity {table.labels[rows[0]]} in camera {table.cameras[rows[0]]}"
                f" were asked for, but there are only {len(rows)} images: choose a smaller number of shots"
            )


def seeded(table: EmbeddingTable, folders: Sequence[np.ndarray], *, shots: int, trials: int) -> Iterator[np.ndarray]:
    """Draw galleries like AGW's release and the codes based on it: `random.seed(trial)`.

    Python's Mersenne Twister makes one `choice` from each folder in turn, or one `sample` for several shots (MCE's
    release). Bitwise equal to their `random.seed(trial)`; the global generator is not changed.
    """
    check_shots(table, folders, shots)
    for number in range(trials):
        generator = random.Random(number)
        drawn = [generator.sample(rows.tolist(), shots) for rows in folders]  # one shot: the same draw as `choice`
        yield np.concatenate(drawn).astype(np.int64)


def unseeded(
    table: EmbeddingTable, folders: Sequence[np.ndarray], *, shots: int, trials: int, seed: int
) -> Iterator[np.ndarray]:
    """Draw galleries like PAENet's release: NumPy's `choice(files, shots, replace=False)` from each folder in turn.

    The release draws its multi-shot gallery this way and its single-shot gallery with Python's `random.choice`. It
    seeds neither, so no two of its runs have the same galleries. NumPy draws both in this function; one generator,
    seeded with `seed`, continues from trial to trial. Numbers equal the release's in distribution only.
    """
    check_shots(table, folders, shots)
    generator = np.random.RandomState(seed)
    for _ in range(trials):
        yield np.concatenate([generator.choice(rows, shots, replace=False) for rows in folders])
