"""Run a suite of configs and write its tables: Markdown, CSV, LaTeX, JSON and one HTML page that opens offline.

Finished runs are not repeated. Interrupted runs are resumed by the same command.
"""

from __future__ import annotations

import argparse

from vireid.cli.main import ENTRY
from vireid.core.options import refuse_unused
from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s --suite benchmarks/suites/table3.yml --out runs/table3 --data DATA.ROOT=/data/SYSU-MM01
  %(prog)s --suite benchmarks/suites/table3.yml --out runs/reduced --reduced benchmarks/suites/reduced.yml --jobs 2
"""
UNUSED = {"dry_run": ("jobs", "copy", "check"), "emit_jobs": ("jobs", "copy", "check"), "collect": ("jobs",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid suite`."""
    parser.add_argument("--suite", required=True, type=path_argument, metavar="FILE.yml", help="suite file")
    parser.add_argument(
        "--out", required=True, type=path_argument, metavar="DIR", help="output folder of the runs and the tables"
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
        type=path_argument,
        metavar="FILE.yml",
        help="run a smaller version on synthetic data, such as benchmarks/suites/reduced.yml",
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
    from vireid.suites.compare import Comparison, misses
    from vireid.suites.reduced import read_reduction

    reduced = read_reduction(arguments.reduced) if arguments.reduced else None
    settings = {"data": arguments.data, "seeds": arguments.seeds, "reduced": reduced}
    comparison = Comparison.of(arguments.suite, arguments.out, (ENTRY, "train"), **settings)
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
