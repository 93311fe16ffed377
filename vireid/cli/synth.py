"""Write a dataset of synthetic identities in the folder layout of a real dataset."""

from __future__ import annotations

import argparse
import os

from vireid.core.errors import UserError
from vireid.core.paths import path_argument

LAYOUTS = ("sysu", "regdb", "llcm")  # of vireid.synthetic, which is not imported for the help text
EXAMPLES = """
  %(prog)s --layout sysu --out datasets/synthetic --identities 200 --images 10 --seed 0
  %(prog)s --layout regdb --out datasets/regdb --size 128x64 --contact-sheet identities.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid synth`."""
    parser.add_argument("--layout", choices=LAYOUTS, default="sysu", help="folder layout (default: sysu)")
    parser.add_argument(
        "--out",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder to write; must be missing, empty, or hold a dataset of the same parameters",
    )
    parser.add_argument(
        "--identities", type=int, default=160, metavar="N", help="identities of train, val and test (default: 160)"
    )
    parser.add_argument(
        "--images", type=int, default=10, metavar="N", help="images of each identity in each camera (default: 10)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed; the same seed gives the same files")
    parser.add_argument("--size", default="288x144", metavar="HxW", help="height x width in pixels (default: 288x144)")
    parser.add_argument(
        "--difficulty", type=float, default=0.5, metavar="D", help="from 0 (easy) to 1 (hard) (default: 0.5)"
    )
    parser.add_argument("--test-identities", type=int, metavar="N", help="default: 96 of 491, as in SYSU-MM01")
    parser.add_argument("--val-identities", type=int, metavar="N", help="default: 99 of 491, as in SYSU-MM01")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, 8),
        metavar="N",
        help="number of processes (default: one for each core, at most 8)",
    )
    parser.add_argument(
        "--contact-sheet", type=path_argument, metavar="FILE.png", help="also draw some identities into one picture"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid synth` and return its exit code."""
    from vireid.synthetic import Recipe, write_dataset

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
    written = write_dataset(arguments.out, recipe, workers=arguments.workers)
    print(f"{'wrote' if written else 'exists already, with the same parameters:'} {arguments.out}")
    if arguments.contact_sheet:
        from vireid.synthetic.contact_sheet import draw_contact_sheet

        draw_contact_sheet(recipe, arguments.contact_sheet)
        print(f"wrote {arguments.contact_sheet}")
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """Parse a size in pixels, height first.

    Example:
        >>> parse_size("288x144")
        (288, 144)
    """
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise UserError(f"--size must be HEIGHTxWIDTH in pixels, as in 288x144, got {text!r}")
    return int(height), int(width)
