"""Settings of a protocol that name cameras, by number or by name: check them and look up the numbers."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError, nearest
from vireid.core.labels import LARGEST, normalized_name, shortened, spelling_key, whole_number, with_name, with_names
from vireid.core.types import EmbeddingTable
from vireid.evaluation.protocols.selection import cameras_present

Camera = int | str  # a number or a name of the dataset


def checked_cameras(setting: str, cameras: Sequence[Camera]) -> tuple[Camera, ...]:
    """Convert the cameras of a setting to integers and names.

    Raises:
        UserError: For anything else and for repetitions.

    Example:
        >>> checked_cameras("query_cameras", [3, "6", "yard"])
        (3, 6, 'yard')
    """
    if isinstance(cameras, (str, bytes)):
        raise ArgumentError(setting, f"is a list of cameras, got {cameras!r}; write [{cameras!r}]")
    out = tuple(_checked(setting, camera) for camera in cameras)
    twice = sorted({str(camera) for camera in out if out.count(camera) > 1})
    if twice:
        raise ArgumentError(setting, f"names cameras more than once: {', '.join(twice)}")
    return out


def checked_pairs(setting: str, pairs: Sequence[Sequence[Camera]]) -> tuple[tuple[Camera, Camera], ...]:
    """Convert the pairs (query camera, gallery camera) of a setting; UserError for anything else."""
    out = []
    for pair in pairs:
        if isinstance(pair, (str, bytes)) or not isinstance(pair, (Sequence, np.ndarray)) or len(pair) != 2:
            raise ArgumentError(setting, f"is a list of pairs [query camera, gallery camera], got the entry {pair!r}")
        out.append((_checked(setting, pair[0]), _checked(setting, pair[1])))
    return tuple(out)


def _checked(setting: str, camera: Camera) -> Camera:
    if isinstance(camera, str):
        number = whole_number(camera)
        return normalized_name(camera) if number is None else number
    if isinstance(camera, (float, np.floating)) and float(camera).is_integer():
        camera = int(camera)
    try:
        if isinstance(camera, (bool, np.bool_)):
            raise TypeError
        number = operator.index(camera)
    except TypeError:
        raise UserError(f"{setting}: {camera!r} is neither a camera number nor a camera name") from None
    if not 0 <= number <= LARGEST:
        raise UserError(f"{setting}: camera {number} is not between 0 and {LARGEST}")
    return number


class CameraSettings:
    """Look up the camera numbers of a protocol's settings in a table, and collect the errors.

    A camera without an image on its side would make a setting without effect, which would still be printed as a
    condition of the result, so it is an error. `raise_if_any` raises one DataError with all of them.
    """

    def __init__(self, table: EmbeddingTable, protocol: str) -> None:
        self.table, self.protocol = table, protocol
        self.faults: list[str] = []
        self._by_name = {normalized_name(name): number for number, name in table.camera_names.items()}

    def numbers(self, setting: str, cameras: Sequence[Camera], rows: np.ndarray, side: str) -> tuple[int, ...]:
        """Return the numbers of the cameras; unknown ones and those without an image among `rows` are errors."""
        present = set(np.unique(self.table.cameras[rows]).tolist())
        numbers = [self._number(setting, camera, present, side) for camera in cameras]
        return tuple(number for number in numbers if number is not None)

    def _number(self, setting: str, camera: Camera, present: set[int], side: str) -> int | None:
        names: Mapping[int, str] = self.table.camera_names
        if isinstance(camera, str) and camera not in self._by_name:
            alike = next((name for name in self._by_name if spelling_key(name) == spelling_key(camera)), None)
            hint = f"; did you mean {alike!r}?" if alike is not None else nearest(camera, self._by_name)
            known = cameras_present(self.table) if names else self._without_names()
            self.faults.append(f"{setting}: no camera is named {shortened(camera)!r}{hint}{known}")
            return None
        number = self._by_name[camera] if isinstance(camera, str) else camera
        if number in present:
            return number
        word = with_name(number, names)
        if number in set(self.table.cameras.tolist()):
            shown = with_names(sorted(present)[:20], names)
            self.faults.append(f"{setting}: camera {word} has no {side} image (cameras of the {side} side: {shown})")
        elif number in names:
            self.faults.append(f"{setting}: camera {word} has no test image{cameras_present(self.table)}")
        else:
            self.faults.append(f"{setting}: camera {word} does not exist{cameras_present(self.table)}")
        return None

    def _without_names(self) -> str:
        return f"; the cameras of this dataset have numbers only{cameras_present(self.table)}"

    def raise_if_any(self) -> None:
        if self.faults:
            head = f"{self.protocol}: " if len(self.faults) == 1 else f"{self.protocol}:\n    "
            raise DataError(head + "\n    ".join(self.faults))
