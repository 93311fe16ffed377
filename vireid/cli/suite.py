"""Run a suite of configs and write its tables: Markdown, CSV, LaTeX, JSON and one HTML page that opens offline.

Finished runs are not repeated. Interrupted runs are resumed by the same command.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.cli.main import ENTRY
from vireid.core.options import refuse_unused
from vireid.core.paths import normalized_path, path_argument

EXAMPLES = """
  %(prog)s table3 --data DATA.ROOT=/data/SYSU-MM01
  %(prog)s table3 --out runs/reduced --reduced reduced --jobs 2
  %(prog)s --suite mine.yml --out runs/mine
"""
UNUSED = {"dry_run": ("jobs", "copy", "check"), "emit_jobs": ("jobs", "copy", "check"), "collect": ("jobs",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid suite`."""
    parser.add_argument("name", nargs="?", metavar="SUITE", help="name of a shipped suite, such as table3, or a file")
    parser.add_argument("--suite", metavar="SUITE", help="the same as an option")
    parser.add_argument(
        "--out",
        type=path_argument,
        metavar="DIR",
        help="output folder of the runs and the tables (default: runs/SUITE)",
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="[DATASET:]KEY=VALUE",
        help="override a setting of all rows, or of the rows of one dataset",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[], metavar="SEED", help="replace the suite's SEEDS")
    parser.add_argument(
        "--reduced",
        metavar="REDUCTION",
        help="run a smaller version on synthetic data: a file, or reduced for the shipped one",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="number of runs in parallel (default: 1)")
    parser.add_argument(
        "--copy", type=path_argument, metavar="DIR", help="also copy the tables and figures, without the runs, to DIR"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit with code 1 if a result differs from the published number"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="check all configs, list the runs and exit")
    mode.add_argument(
        "--emit-jobs", action="store_true", help="print one shell command for each missing run, for a cluster"
    )
    mode.add_argument(
        "--collect",
        action="append",
        type=path_argument,
        metavar="DIR",
        help="write the tables from runs that were trained elsewhere",
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid suite` and return its exit code."""
    for mode, unused in UNUSED.items():
        if getattr(arguments, mode):
            refuse_unused(parser, arguments, unused, f"with --{mode.replace('_', '-')}")
    if (arguments.name is None) == (arguments.suite is None):
        parser.error("pass one suite: SUITE or --suite SUITE")
    from vireid.suites.compare import Comparison, misses
    from vireid.suites.reduced import read_reduction

    reduced = read_reduction(arguments.reduced) if arguments.reduced else None
    settings = {"data": arguments.data, "seeds": arguments.seeds, "reduced": reduced}
    suite = arguments.name or arguments.suite
    out = arguments.out or normalized_path(Path("runs") / Path(suite).stem)
    comparison = Comparison.of(suite, out, (ENTRY, "train"), **settings)
    if reduced and not arguments.dry_run:
        reduced.write_datasets(comparison.suite)
    plan = comparison.plan()
    if arguments.dry_run:
        print(comparison.describe(plan))
        return 0
    if arguments.emit_jobs:
        print("\n".join(comparison.jobs(plan)))
        return 0
    if arguments.collect:
        results = comparison.collect(plan, arguments.collect)
    else:
        results = comparison.run(plan, jobs=arguments.jobs)
    if arguments.copy:
        comparison.copy(arguments.copy)
    missed = misses(results) if arguments.check else []
    for text in missed:
        print(f"differs from the published number: {text}")
    return 1 if missed or results.failures() else 0
