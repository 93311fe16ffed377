"""Average the results of the ten RegDB splits, each with its model, and report mean and standard deviation."""

from __future__ import annotations

import argparse

from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s runs/regdb/agw/split_* --out runs/regdb/agw/metrics.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid aggregate`."""
    parser.add_argument(
        "runs", nargs="+", type=path_argument, metavar="RUN", help="run folders, or their metrics.json files"
    )
    parser.add_argument(
        "--splits", "--trials", type=int, default=10, metavar="N", help="number of splits expected (default: 10)"
    )
    parser.add_argument(
        "--out", type=path_argument, metavar="FILE.json", help="also write the result, with the values of each split"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid aggregate` and return its exit code."""
    from vireid.runs.aggregate import aggregate, format_aggregates, read_splits, write_aggregates

    rows = aggregate(read_splits(arguments.runs), splits=arguments.splits)
    print(format_aggregates(rows))
    if arguments.out:
        write_aggregates(arguments.out, rows)
        print(f"results: {arguments.out}")
    return 0
