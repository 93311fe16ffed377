"""Index files and attribute tables of the layouts of RegDB and LLCM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from vireid.core.errors import UserError
from vireid.data.attributes.released import SYSU_NAMES
from vireid.synthetic.world import World

FEWEST = 2  # training identities, and test identities
MOST = 9999  # four digits


def two_sizes(layout: str, share: float, identities: int, test: int | None, val: int | None) -> dict[str, int]:
    """Return the sizes of the splits of a layout without validation identities.

    Args:
        layout: Name of the layout, for messages.
        share: Share of the test identities if `test` is None.
        identities: Number of identities.
        test: Number of test identities.
        val: Number of validation identities, which must be None.

    Raises:
        UserError: With all impossible arguments.
    """
    problems = []
    if val is not None:
        problems.append(f"--val-identities is not for --layout {layout}, which has no validation identities")
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
    """Write a line `path label` for each image; the label is the rank of the identity in `people`."""
    lines = [f"{path} {label}\n" for label, number in enumerate(people) for path in paths[number]]
    file.write_text("".join(lines), encoding="ascii")


def write_attributes(file: Path, world: World, seen: Mapping[int, Mapping[int, Iterable[int]]]) -> None:
    """Write a table for `vireid.data.attributes`: identity, camera and the eight attributes.

    Args:
        file: File to write.
        world: The identities.
        seen: Identity -> number of the camera -> keys of the cameras with that number. If an attribute differs between
            them (a bag), the cell is empty.
    """
    lines = [",".join(("identity", "camera", *SYSU_NAMES))]
    for number, cameras in seen.items():
        for camera, keys in cameras.items():
            rows = [world.attributes(number, key).bits().tolist() for key in keys]
            cells = [str(values[0]) if len(set(values)) == 1 else "" for values in zip(*rows)]
            lines.append(",".join((str(number), str(camera), *cells)))
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
