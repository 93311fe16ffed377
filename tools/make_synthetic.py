"""Make a data set of synthetic people in the layout of a real one.

python tools/make_synthetic.py --layout sysu --out data/synthetic --identities 200 --images 10 --seed 0
"""

from __future__ import annotations

import argparse
import os
import sys

from vireid.core.errors import UserError, guarded
from vireid.core.paths import path_argument
from vireid.synthetic import LAYOUTS, Recipe, write_dataset


def parse_size(text: str) -> tuple[int, int]:
    """'288x144' -> (288, 144), height first."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise UserError(f"--size must be HEIGHTxWIDTH in pixels, as in 288x144, got {text!r}")
    return int(height), int(width)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make_synthetic.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layout", choices=list(LAYOUTS), default="sysu", help="folder layout (default: sysu)")
    parser.add_argument(
        "--out",
        type=path_argument,
        required=True,
        help="folder to make; must not exist, be empty, or hold the same data set",
    )
    parser.add_argument(
        "--identities", type=int, default=160, help="all identities, split into train, val and test (default: 160)"
    )
    parser.add_argument("--images", type=int, default=10, help="images of each identity in each camera (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="the data set is a function of it (default: 0)")
    parser.add_argument("--size", default="288x144", help="HEIGHTxWIDTH in pixels (default: 288x144)")
    parser.add_argument("--difficulty", type=float, default=0.5, help="0 easy to 1 hard (default: 0.5)")
    parser.add_argument("--test-identities", type=int, help="default: the real share, 96 of 491")
    parser.add_argument("--val-identities", type=int, help="default: the real share, 99 of 491")
    parser.add_argument(
        "--workers", type=int, default=min(os.cpu_count() or 1, 8), help="processes (default: one per core, at most 8)"
    )
    parser.add_argument(
        "--contact-sheet", type=path_argument, metavar="FILE.png", help="also draw some of the people into one picture"
    )
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    recipe = Recipe(
        layout=arguments.layout,
        identities=arguments.identities,
        images=arguments.images,
        seed=arguments.seed,
        size=parse_size(arguments.size),
        difficulty=arguments.difficulty,
        test_identities=arguments.test_identities,
        val_identities=arguments.val_identities,
    )
    made = write_dataset(arguments.out, recipe, workers=arguments.workers)
    print(f"{'made' if made else 'already there, with the same parameters:'} {arguments.out}")
    if arguments.contact_sheet:
        from vireid.synthetic.contact_sheet import draw_contact_sheet

        draw_contact_sheet(recipe, arguments.contact_sheet)
        print(f"drew {arguments.contact_sheet}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
