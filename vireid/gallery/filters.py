"""Which images of a gallery may answer: by camera, modality and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError
from vireid.core.types import Modality


@dataclass(frozen=True)
class Filter:
    """All conditions that are named must hold; an image without a time answers to no condition on time."""

    cameras: tuple[int, ...] = ()
    modality: Modality | None = None
    after: float | None = None  # seconds
    before: float | None = None

    def allowed(self, columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """(G,) bool, or None where nothing is named. DataError where no image is left."""
        keep = np.ones(len(columns["path"]), bool)
        if self.cameras:
            keep &= np.isin(columns["camera"], self.cameras)
        if self.modality is not None:
            keep &= columns["modality"] == int(self.modality)
        if self.after is not None:
            keep &= columns["time"] >= self.after
        if self.before is not None:
            keep &= columns["time"] <= self.before
        if not keep.any():
            raise DataError(f"no image of the gallery passes {self}: its cameras are {_known(columns['camera'])}")
        return None if keep.all() else keep


def _known(values: np.ndarray) -> str:
    return ", ".join(map(str, np.unique(values)[:20]))
