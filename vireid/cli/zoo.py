"""Write MODEL_ZOO.md from the shipped configs, the published numbers and the shipped results on synthetic data."""

from __future__ import annotations

import argparse

from vireid.core.paths import normalized_path, path_argument

EXAMPLES = """
  %(prog)s
  %(prog)s --check
"""
PAGE = "MODEL_ZOO.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid zoo`."""
    parser.add_argument(
        "--out",
        type=path_argument,
        metavar="FILE",
        help=f"default: {PAGE} of the checkout, or in the current directory if vireid is installed",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with code 1 if FILE is out of date")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid zoo` and return its exit code."""
    from vireid.core.io import write_text
    from vireid.zoo.catalogue import Measured, cost_of, entries, page
    from vireid.zoo.published import read_published
    from vireid.zoo.shipped import PACKAGE, PUBLISHED, ZOO_RESULTS, in_checkout, shipped_path

    out = arguments.out or (PACKAGE.parent / PAGE if in_checkout() else normalized_path(PAGE))
    models, sources = entries(read_published(shipped_path(PUBLISHED)), Measured.read(shipped_path(ZOO_RESULTS)))
    text = page([(entry, cost_of(entry)) for entry in models], sources)
    if arguments.check:
        current = out.read_text(encoding="utf-8") if out.is_file() else ""
        print(f"{out}: {'up to date' if current == text else 'out of date; run tools/model_zoo.py'}")
        return int(current != text)
    write_text(out, text)
    print(f"{out}: {len(models)} models")
    return 0
