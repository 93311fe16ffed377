"""Layout of RegDB: all identities in one visible and one thermal camera, and ten random splits.

The thermal camera is rendered like the near-infrared ones of SYSU-MM01: reflectances, not heat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vireid.synthetic.cameras import SYSU_CAMERAS, Camera
from vireid.synthetic.people import LAYOUT_STREAM, stream
from vireid.synthetic.tables import two_sizes, write_attributes, write_index
from vireid.synthetic.world import World

VISIBLE, THERMAL = 1, 2
FOLDERS = {VISIBLE: "Visible", THERMAL: "Thermal"}
SPLITS = range(1, 11)
CAMERAS: dict[int, Camera] = {  # next to each other, with one scene
    VISIBLE: replace(SYSU_CAMERAS[4], number=VISIBLE, scene=5),
    THERMAL: replace(
        SYSU_CAMERAS[6], number=THERMAL, scene=5, pitch=SYSU_CAMERAS[4].pitch, headings=SYSU_CAMERAS[4].headings
    ),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Sorted numbers of the training and the test identities of each split."""

    splits: dict[int, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def identities(self) -> tuple[int, ...]:
        train, test = self.splits[SPLITS[0]]
        return tuple(sorted(train + test))

    @property
    def test(self) -> tuple[int, ...]:
        return self.splits[SPLITS[0]][1]

    @property
    def cameras(self) -> dict[int, tuple[int, ...]]:
        return dict.fromkeys(self.identities, (VISIBLE, THERMAL))


def split_sizes(identities: int, test: int | None, val: int | None) -> dict[str, int]:
    """Return the sizes of a split; by default half of the identities are for test (206 of 412)."""
    return two_sizes("regdb", 206 / 412, identities, test, val)


def plan(*, seed: int, identities: int, test: int | None = None, val: int | None = None) -> Plan:
    """Choose ten random splits of identities 1 .. `identities`."""
    size = split_sizes(identities, test, val)["test"]
    splits = {}
    for number in SPLITS:
        order = (1 + stream(seed, LAYOUT_STREAM, number).permutation(identities)).tolist()
        splits[number] = tuple(sorted(order[size:])), tuple(sorted(order[:size]))
    return Plan(splits)


def image_path(camera: int, number: int, shot: int) -> str:
    """Return the path of an image; `shot` counts from 0, files from 1."""
    return f"{FOLDERS[camera]}/{number}/{FOLDERS[camera][0].lower()}_{shot + 1:05d}.bmp"


def write_annotations(root: Path, world: World, people: Plan, images: int) -> None:
    """Write idx/{train,test}_{visible,thermal}_{1..10}.txt and attributes.csv."""
    (root / "idx").mkdir()
    for camera, folder in FOLDERS.items():
        paths = {n: [image_path(camera, n, shot) for shot in range(images)] for n in people.identities}
        for split, parts in people.splits.items():
            for part, numbers in zip(("train", "test"), parts):
                write_index(root / "idx" / f"{part}_{folder.lower()}_{split}.txt", numbers, paths)
    write_attributes(root / "attributes.csv", world, {n: {c: (c,) for c in CAMERAS} for n in people.identities})
