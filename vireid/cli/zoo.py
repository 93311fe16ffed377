"""Write MODEL_ZOO.md from the shipped configs, the published numbers and the committed results on synthetic data.

Run it in a checkout of vireid: the numbers are in benchmarks/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.paths import path_argument

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = """
  %(prog)s
  %(prog)s --check
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid zoo`."""
    parser.add_argument(
        "--out", type=path_argument, default=ROOT / "MODEL_ZOO.md", metavar="FILE", help="default: MODEL_ZOO.md"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with code 1 if FILE is out of date")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid zoo` and return its exit code."""
    published = ROOT / "benchmarks" / "reported.yml"
    if not published.is_file():
        raise UserError(f"{published} is missing; run this command in a checkout of vireid")
    from vireid.core.io import write_text
    from vireid.zoo.catalogue import Measured, cost_of, entries, page
    from vireid.zoo.published import read_published

    measured = Measured.read(ROOT / "benchmarks" / "results" / "zoo" / "results.json")
    models, sources = entries(read_published(published), measured)
    text = page([(entry, cost_of(entry)) for entry in models], sources)
    if arguments.check:
        current = arguments.out.read_text(encoding="utf-8") if arguments.out.is_file() else ""
        print(f"{arguments.out}: {'up to date' if current == text else 'out of date; run tools/model_zoo.py'}")
        return int(current != text)
    write_text(arguments.out, text)
    print(f"{arguments.out}: {len(models)} models")
    return 0
