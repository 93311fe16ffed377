"""Lists and tables that the layouts of RegDB and LLCM have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vireid.core.errors import UserError
from vireid.data.attributes.released import SYSU_NAMES
from vireid.synthetic.world import World

FEWEST = 2  # people to train on, people to test on
MOST = 9999  # four digits


def two_sizes(layout: str, share: float, identities: int, test: int | None, val: int | None) -> dict[str, int]:
    """Sizes of a layout that has people to train on and to test on only; UserError with every fault.

    `share`: of the people that are tested on, where their number is not given.
    """
    problems = []
    if val is not None:
        problems.append(f"--val-identities is not for --layout {layout}, which has no validation people")
    if not 2 * FEWEST <= identities <= MOST:
        problems.append(
            f"--identities must be between {2 * FEWEST} ({FEWEST} to train, {FEWEST} to test) and {MOST},"
            f" got {identities}"
        )
    else:
        test = max(FEWEST, round(identities * share)) if test is None else test
        if not FEWEST <= test <= identities - FEWEST:
            problems.append(
                f"--test-identities must be between {FEWEST} and {identities - FEWEST}"
                f" ({FEWEST} of the {identities} are needed to train), got {test}"
            )
    if problems:
        raise UserError("\n".join(problems))
    assert test is not None
    return {"train": identities - test, "test": test}


def write_index(file: Path, people: Iterable[int], paths: Mapping[int, Iterable[str]]) -> None:
    """A line `path label` for each picture; the label is the person's place among `people`."""
    lines = [f"{path} {label}\n" for label, number in enumerate(people) for path in paths[number]]
    file.write_text("".join(lines), encoding="ascii")


def write_attributes(file: Path, world: World, seen: Mapping[int, Mapping[int, Iterable[int]]]) -> None:
    """The table of `vireid.data.attributes`: identity, camera and the eight attributes.

    `seen`: identity -> number of the camera -> keys of the cameras with that number. Where those differ (somebody put
    a bag down), nobody can say: the cell is empty.
    """
    lines = [",".join(("identity", "camera", *SYSU_NAMES))]
    for number, cameras in seen.items():
        for camera, keys in cameras.items():
            rows = [world.attributes(number, key).bits().tolist() for key in keys]
            cells = [str(values[0]) if len(set(values)) == 1 else "" for values in zip(*rows)]
            lines.append(",".join((str(number), str(camera), *cells)))
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
