#!/usr/bin/env python3
"""Make `report.html`, one page that opens offline, and `pictures/` from the saved results of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.core.errors import guarded


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Example: tools/visualize.py --run runs/demo")
    parser.add_argument("--run", required=True, type=Path, metavar="DIR", help="OUTPUT_DIR of a run")
    parser.add_argument(
        "--queries", type=int, default=8, metavar="N", help="ranked lists shown for each protocol (default 8)"
    )
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid.visualize.page import write_report

    print(write_report(arguments.run, queries=arguments.queries))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
