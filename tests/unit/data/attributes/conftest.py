"""The released form of SYSU-MM01's attributes, written small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat


@pytest.fixture
def matrices() -> Callable[..., Path]:
    """Write cam1_att.mat .. cam6_att.mat for three identities: nobody knows the second; other values by name."""

    def write(folder: Path, **changes: np.ndarray) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for camera in range(1, 7):
            name = f"cam{camera}_att"
            values = np.zeros((8, 3), np.uint8)
            values[:, 1] = 1
            values[camera, 2] = 1
            savemat(folder / f"{name}.mat", {name: changes.get(name, values)})
        return folder

    return write
