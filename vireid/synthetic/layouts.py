"""What differs between the layouts: their cameras, who stands before which, where pictures and lists go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vireid.core.errors import UserError
from vireid.synthetic import llcm, regdb, sysu
from vireid.synthetic.cameras import SYSU_CAMERAS, Camera
from vireid.synthetic.world import World


class People(Protocol):
    """Who there is, as a layout plans it."""

    @property
    def identities(self) -> tuple[int, ...]:
        """All numbers, sorted."""
        ...

    @property
    def test(self) -> tuple[int, ...]:
        """Those of the test split (of the first, where there are several), sorted."""
        ...

    @property
    def cameras(self) -> Mapping[int, tuple[int, ...]]:
        """Number -> the keys of the cameras that see the person."""
        ...


@dataclass(frozen=True)
class Layout:
    """The functions of one layout; `Any` is its own kind of `People`."""

    cameras: Mapping[int, Camera]  # by the key that `World` knows them by
    split_sizes: Callable[[int, int | None, int | None], Any]  # identities, test, val; UserError with every fault
    plan: Callable[..., Any]  # seed, identities, test, val, by keyword
    image_path: Callable[[Any, int, int, int], str]  # people, camera, identity, shot from 0
    write_annotations: Callable[[Path, World, Any, int], None]  # root, world, people, images of each
    # Writes what sets made by older versions lack, and returns the files.
    add_missing: Callable[[Path, World, Any, int], list[Path]] = lambda root, world, people, images: []


LAYOUTS: Mapping[str, Layout] = {
    "sysu": Layout(
        SYSU_CAMERAS,
        sysu.split_sizes,
        sysu.plan,
        lambda people, camera, number, shot: sysu.image_path(camera, number, shot),
        sysu.write_annotations,
        sysu.add_permutations,
    ),
    "regdb": Layout(
        regdb.CAMERAS,
        regdb.split_sizes,
        regdb.plan,
        lambda people, camera, number, shot: regdb.image_path(camera, number, shot),
        regdb.write_annotations,
    ),
    "llcm": Layout(llcm.CAMERAS, llcm.split_sizes, llcm.plan, llcm.image_path, llcm.write_annotations),
}


def layout_named(name: str) -> Layout:
    """UserError with all names where there is none of this one."""
    if name not in LAYOUTS:
        raise UserError(f"--layout must be one of {', '.join(LAYOUTS)}, got {name}")
    return LAYOUTS[name]
