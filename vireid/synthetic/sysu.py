"""Layout of SYSU-MM01: identities of each camera and split, and the annotation files.

As in the real dataset, the numbers have gaps up to 533, cameras 1, 2 and 6 have only the first 332, 332 and 333 of
them, test identities are among those, some folders are missing, and the attributes of a missing identity are a column
of ones.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

from vireid.core.errors import UserError
from vireid.core.io import replaced_file
from vireid.synthetic.people import LAYOUT_STREAM, stream
from vireid.synthetic.world import World

CAMERAS: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
INFRARED_CAMERAS = (3, 6)
SHARED_PLACE = {3: 2}  # queries of camera 3 are not compared with camera 2
LAST_NUMBER = 533
LAST_COLUMN = {1: 332, 2: 332, 3: 533, 4: 533, 5: 533, 6: 333}
MISSING_SHARE = 0.15
PERMUTATIONS = Path("exp") / "rand_perm_cam.mat"
TRIALS = 10  # gallery draws of the protocol
FEWEST = {"train": 2, "val": 1, "test": 2}
MOST = 9999  # four digits


@dataclass(frozen=True, slots=True)
class Plan:
    """Sorted numbers of the identities of each split, and the sorted cameras of each identity."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    cameras: dict[int, tuple[int, ...]]
    last_column: dict[int, int]

    @property
    def identities(self) -> tuple[int, ...]:
        return tuple(sorted(self.train + self.val + self.test))


def split_sizes(identities: int, test: int | None, val: int | None) -> dict[str, int]:
    """Return the sizes of the splits; by default in the real proportions (296 train, 99 val, 96 test of 491).

    Raises:
        UserError: With all impossible arguments.
    """
    problems = []
    test = max(FEWEST["test"], round(identities * 96 / 491)) if test is None else test
    val = max(FEWEST["val"], round(identities * 99 / 491)) if val is None else val
    sizes = {"train": identities - val - test, "val": val, "test": test}
    if identities < sum(FEWEST.values()):
        problems.append(
            f"--identities must be at least {sum(FEWEST.values())} (2 to train, 1 to validate, 2 to test), "
            f"got {identities}"
        )
    elif identities > MOST:
        problems.append(f"--identities must be at most {MOST} (folder names have four digits), got {identities}")
    else:
        problems += [
            f"--identities {identities} with {val} val and {test} test leaves {size} to {name}; "
            f"at least {FEWEST[name]} needed"
            for name, size in sizes.items()
            if size < FEWEST[name]
        ]
        if identities <= LAST_NUMBER and test > LAST_COLUMN[1]:
            problems.append(
                f"--test-identities must be at most {LAST_COLUMN[1]}, the numbers that all cameras have, got {test}"
            )
    if problems:
        raise UserError("\n".join(problems))
    return sizes


def plan(*, seed: int, identities: int, test: int | None = None, val: int | None = None) -> Plan:
    """Choose the identities of each split and their cameras, as a function of the arguments."""
    sizes = split_sizes(identities, test, val)
    rng = stream(seed, LAYOUT_STREAM)
    real = identities <= LAST_NUMBER
    last = LAST_COLUMN if real else dict.fromkeys(CAMERAS, identities)
    in_all_cameras = rng.permutation(np.arange(1, min(last.values()) + 1))
    chosen = in_all_cameras[: sizes["test"]]
    others = rng.permutation(np.setdiff1d(np.arange(1, max(last.values()) + 1), chosen))[
        : sizes["train"] + sizes["val"]
    ]
    names = {"test": chosen, "val": others[: sizes["val"]], "train": others[sizes["val"] :]}
    groups = {name: tuple(sorted(int(number) for number in numbers)) for name, numbers in names.items()}
    cameras = {number: _seen_by(seed, number, last) for numbers in groups.values() for number in numbers}
    return Plan(**groups, cameras=cameras, last_column=last)


def _seen_by(seed: int, number: int, last: dict[int, int]) -> tuple[int, ...]:
    """Cameras of an identity: at least one infrared one, and a visible one that its queries are compared with."""
    rng = stream(seed, LAYOUT_STREAM, number)
    possible = [camera for camera in CAMERAS if number <= last[camera]]
    while True:
        seen = [camera for camera in possible if rng.random() >= MISSING_SHARE]
        infrared = [camera for camera in seen if camera in INFRARED_CAMERAS]
        visible = set(seen) - set(infrared)
        if infrared and all(visible - {SHARED_PLACE.get(camera)} for camera in infrared):
            return tuple(seen)


def image_path(camera: int, number: int, shot: int) -> str:
    """Return the path of an image; `shot` counts from 0, files from 1."""
    return f"cam{camera}/{number:04d}/{shot + 1:04d}.jpg"


def write_annotations(root: Path, world: World, people: Plan, images: int) -> None:
    """Write exp/*.txt, exp/rand_perm_cam.mat and sysu_attribute/*.mat; `images` of each identity in each camera."""
    (root / "exp").mkdir()
    lists = {"train": people.train, "val": people.val, "test": people.test, "available": people.identities}
    for name, numbers in lists.items():
        (root / "exp" / f"{name}_id.txt").write_text(",".join(map(str, numbers)) + "\n", encoding="ascii")
    (root / "sysu_attribute").mkdir()
    for camera in CAMERAS:
        table = np.ones((8, people.last_column[camera]), np.uint8)
        for number, seen in people.cameras.items():
            if camera in seen:
                table[:, number - 1] = world.attributes(number, camera).bits()
        (root / "sysu_attribute" / f"cam{camera}_att.mat").write_bytes(mat_bytes(f"cam{camera}_att", table))

    (root / PERMUTATIONS).write_bytes(permutations(world.seed, people, images))


def permutations(seed: int, people: Plan, images: int) -> bytes:
    """Return the bytes of `exp/rand_perm_cam.mat`, whose first columns are the galleries of the official draw.

    A cell array of cameras, each a cell array of identities 1 to the last one: ten permutations of the image numbers
    from 1 (trials x images), empty if there are no images. A function of seed, camera, identity and `images`.
    """
    numbers = np.arange(1, images + 1, dtype=np.uint8 if images <= np.iinfo(np.uint8).max else np.uint16)
    last = max(people.last_column.values())
    cameras = np.empty((len(CAMERAS), 1), object)
    for row, camera in enumerate(CAMERAS):
        cells = np.empty((last, 1), object)
        cells.fill(np.zeros((0, 0), np.uint8))
        for identity, seen in people.cameras.items():
            if camera in seen:
                rng = stream(seed, LAYOUT_STREAM, identity, camera)
                cells[identity - 1, 0] = rng.permuted(np.tile(numbers, (TRIALS, 1)), axis=1)
        cameras[row, 0] = cells
    return mat_bytes(PERMUTATIONS.stem, cameras)


def add_permutations(root: Path, world: World, people: Plan, images: int) -> list[Path]:
    """Write the permutations into a dataset of an older version, which did not have them; returns what was written."""
    file = root / PERMUTATIONS
    if file.exists():
        return []
    with replaced_file(file) as target:
        target.write(permutations(world.seed, people, images))
    return [file]


def mat_bytes(name: str, table: np.ndarray) -> bytes:
    """Write a MATLAB v5 file to bytes; the date in its header is replaced, so that equal tables give equal files."""
    buffer = io.BytesIO()
    savemat(buffer, {name: table}, format="5")
    return b"MATLAB 5.0 MAT-file, written by vireid".ljust(116) + buffer.getvalue()[116:]
