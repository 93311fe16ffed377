"""Layouts of synthetic datasets: cameras, identities, image paths and annotation files."""

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
    """Identities of a dataset and their cameras."""

    @property
    def identities(self) -> tuple[int, ...]:
        """Numbers of all identities, sorted."""
        ...

    @property
    def test(self) -> tuple[int, ...]:
        """Numbers of the test identities (of the first split, if there are several), sorted."""
        ...

    @property
    def cameras(self) -> Mapping[int, tuple[int, ...]]:
        """Number -> keys of the cameras that have images of the identity."""
        ...


@dataclass(frozen=True)
class Layout:
    """Functions of one layout; `Any` is the layout's class of `People`."""

    cameras: Mapping[int, Camera]  # by their keys in `World`
    split_sizes: Callable[[int, int | None, int | None], Any]  # identities, test, val; UserError with every fault
    plan: Callable[..., Any]  # seed, identities, test, val, by keyword
    image_path: Callable[[Any, int, int, int], str]  # people, camera, identity, shot from 0
    write_annotations: Callable[[Path, World, Any, int], None]  # root, world, people, images of each
    # Writes files that older versions did not write, and returns them.
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
    """Return a layout; UserError with all names for an unknown one."""
    if name not in LAYOUTS:
        raise UserError(f"--layout must be one of {', '.join(LAYOUTS)}, got {name}")
    return LAYOUTS[name]
