"""Layout of LLCM: nine devices, all but the third with a visible and an infrared mode."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import sin
from pathlib import Path

from vireid.synthetic.cameras import SYSU_CAMERAS, Camera
from vireid.synthetic.people import LAYOUT_STREAM, stream
from vireid.synthetic.tables import two_sizes, write_attributes, write_index
from vireid.synthetic.world import World

DEVICES = (1, 2, 3, 4, 5, 6, 7, 8, 9)
VISIBLE_ONLY = 3
INFRARED = 10  # key of a device's infrared mode = this + its number
FIRST_SCENE = 6
FEWEST_DEVICES, MOST_DEVICES = 2, 4  # devices of an identity, in both modes
THIRD_DEVICE_SHARE = 0.3  # share of identities that the visible-only device has, too


def _device(number: int) -> dict[int, Camera]:
    """The modes of one device, with one scene and view; scenes, light and sensors differ between devices."""
    like = SYSU_CAMERAS[(1, 2, 4, 5)[number % 4]]
    a, b, c = sin(2.4 * number), sin(5.1 * number + 1), sin(7.7 * number + 2)
    headings = tuple(heading + 0.5 * a for heading in like.headings)
    place = {"number": number, "scene": FIRST_SCENE + number, "pitch": like.pitch + 0.06 * b, "headings": headings}
    red, green, blue = like.gain
    visible = replace(
        like,
        **place,
        light=(like.light[0] + 0.3 * c, *like.light[1:]),
        gain=(red * (1 + 0.08 * a), green, blue * (1 - 0.08 * a)),
        contrast=like.contrast * (1 + 0.1 * b),
        noise=like.noise * (1 + 0.3 * c),
    )
    night = SYSU_CAMERAS[3 if like.indoor else 6]
    infrared = replace(
        night, **place, indoor=like.indoor, contrast=night.contrast * (1 + 0.1 * c), noise=night.noise * (1 + 0.3 * b)
    )
    return {number: visible, **({} if number == VISIBLE_ONLY else {INFRARED + number: infrared})}


CAMERAS: dict[int, Camera] = {key: camera for number in DEVICES for key, camera in _device(number).items()}


@dataclass(frozen=True, slots=True)
class Plan:
    """Sorted numbers of training and test identities, and the keys of the cameras of each."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    cameras: dict[int, tuple[int, ...]]

    @property
    def identities(self) -> tuple[int, ...]:
        return tuple(sorted(self.train + self.test))


def split_sizes(identities: int, test: int | None, val: int | None) -> dict[str, int]:
    """Return the sizes of the splits; by default the real share of test identities (351 of 1064)."""
    return two_sizes("llcm", 351 / 1064, identities, test, val)


def plan(*, seed: int, identities: int, test: int | None = None, val: int | None = None) -> Plan:
    """Choose identities 1 .. `identities`: each has two to four devices in both modes, some also the third device.

    With two devices every query has a correct gallery image that counts: images of the query's device are ignored.
    """
    size = split_sizes(identities, test, val)["test"]
    order = (1 + stream(seed, LAYOUT_STREAM).permutation(identities)).tolist()
    cameras = {}
    for number in range(1, identities + 1):
        rng = stream(seed, LAYOUT_STREAM, number)
        both = [device for device in DEVICES if device != VISIBLE_ONLY]
        count = int(rng.integers(FEWEST_DEVICES, MOST_DEVICES + 1))
        chosen = rng.choice(both, count, replace=False).tolist()
        third = [VISIBLE_ONLY] if rng.random() < THIRD_DEVICE_SHARE else []
        cameras[number] = tuple(sorted([*chosen, *third, *(INFRARED + device for device in chosen)]))
    return Plan(tuple(sorted(order[size:])), tuple(sorted(order[:size])), cameras)


def image_path(people: Plan, camera: int, number: int, shot: int) -> str:
    """Return a path: test_vis/cam1/0301/0301_c01_s000001_f0001_vis.jpg for test, vis/0007/0007_c01_... for training."""
    device, word = camera % INFRARED, "nir" if camera > INFRARED else "vis"
    folder = f"test_{word}/cam{device}/{number:04d}" if number in people.test else f"{word}/{number:04d}"
    return f"{folder}/{number:04d}_c{device:02d}_s{device:06d}_f{shot + 1:04d}_{word}.jpg"


def write_annotations(root: Path, world: World, people: Plan, images: int) -> None:
    """Write idx/{train_vis,train_nir,test_id}.txt, a test folder for each camera, and attributes.csv."""
    (root / "idx").mkdir()
    for key in CAMERAS:
        (root / f"test_{'nir' if key > INFRARED else 'vis'}" / f"cam{key % INFRARED}").mkdir(parents=True)
    for word, infrared in (("vis", False), ("nir", True)):
        paths = {
            number: [
                image_path(people, key, number, shot)
                for key in people.cameras[number]
                if (key > INFRARED) == infrared
                for shot in range(images)
            ]
            for number in people.train
        }
        write_index(root / "idx" / f"train_{word}.txt", people.train, paths)
    (root / "idx" / "test_id.txt").write_text(",".join(map(str, people.test)) + "\n", encoding="ascii")
    seen: dict[int, dict[int, list[int]]] = {}
    for number in people.identities:
        of_device = defaultdict(list)
        for key in people.cameras[number]:
            of_device[key % INFRARED].append(key)
        seen[number] = dict(of_device)
    write_attributes(root / "attributes.csv", world, seen)
