"""Render synthetic images in memory: `World(seed=0).photograph(identity, camera, shot)`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vireid.synthetic.cameras import SYSU_CAMERAS, Camera, take
from vireid.synthetic.figure import dress
from vireid.synthetic.people import SHOT_STREAM, Attributes, Person, attributes_in_camera, sample_person, stream
from vireid.synthetic.render import Tables, render, tables
from vireid.synthetic.sewing import Figure


class World:
    """Synthetic identities and cameras. Every image is a function of the arguments and of its numbers.

    Args:
        seed: Random seed.
        difficulty: 0 (easy) to 1 (hard): spread of pose, light, occlusion and blur.
        size: (height, width) of the images in pixels.
        cameras: Number -> camera.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        difficulty: float = 0.5,
        size: tuple[int, int] = (288, 144),
        cameras: dict[int, Camera] = SYSU_CAMERAS,
    ) -> None:
        self.seed, self.difficulty, self.size, self.cameras = seed, difficulty, size, cameras
        self._rows, self._columns = max(40, round(size[0] * 0.34)), max(60, round(size[0] * 0.5))
        self._tables: Tables | None = None
        self.person = lru_cache(maxsize=4)(self._person)
        self._figure = lru_cache(maxsize=4)(self._dress)

    def _person(self, number: int) -> Person:
        return sample_person(self.seed, number, self.difficulty)

    def attributes(self, number: int, camera: int) -> Attributes:
        """Return the attributes of an identity in one camera; bags may differ between cameras."""
        return attributes_in_camera(self.seed, self.person(number), camera)

    def figure(self, person: Person) -> Figure:
        return dress(person, rows=self._rows, columns=self._columns)

    def _dress(self, number: int, backpack: bool, satchel: bool) -> Figure:
        return self.figure(self.person(number).but(backpack=backpack, satchel=satchel))

    def photograph(self, number: int, camera: int, shot: int) -> np.ndarray:
        """Render image `shot` of identity `number` in `camera`: (H, W, 3) uint8."""
        seen = self.attributes(number, camera)
        return self.picture(self._figure(number, seen.backpack, seen.satchel), number, camera, shot)

    def picture(self, figure: Figure, number: int, camera: int, shot: int) -> np.ndarray:
        """Render another figure with the pose, light and noise of an image, for example with one attribute changed."""
        if self._tables is None:
            self._tables = tables(self.seed, *self.size, self._rows)
        circumstances = take(
            self.cameras[camera], stream(self.seed, SHOT_STREAM, number, camera, shot), self.difficulty
        )
        return render(figure, self.cameras[camera], circumstances, self._tables, seed=self.seed)
