#!/usr/bin/env python3
"""Make MODEL_ZOO.md from the shipped configs, the published numbers and the committed results on synthetic people."""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.core.errors import guarded
from vireid.core.paths import path_argument

ROOT = Path(__file__).parents[1]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=path_argument, default=ROOT / "MODEL_ZOO.md", metavar="FILE", help="default: MODEL_ZOO.md"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where FILE is not up to date")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid.core.io import write_text
    from vireid.zoo.catalogue import Measured, cost_of, entries, page
    from vireid.zoo.published import read_published

    measured = Measured.read(ROOT / "benchmarks" / "results" / "zoo" / "results.json")
    found, sources = entries(read_published(ROOT / "benchmarks" / "reported.yml"), measured)
    text = page([(entry, cost_of(entry)) for entry in found], sources)
    if arguments.check:
        there = arguments.out.read_text(encoding="utf-8") if arguments.out.is_file() else ""
        print(f"{arguments.out}: {'up to date' if there == text else 'not what this command makes; run it again'}")
        return int(there != text)
    write_text(arguments.out, text)
    print(f"{arguments.out}: {len(found)} models")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
