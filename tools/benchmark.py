#!/usr/bin/env python3
"""Run a suite of configs and make its tables: Markdown, CSV, LaTeX, JSON and one page that opens offline.

    tools/benchmark.py --suite benchmarks/table3.yml --out runs/table3 --data DATA.ROOT=/data/SYSU-MM01
    tools/benchmark.py --suite benchmarks/table3.yml --out runs/reduced --reduced benchmarks/reduced.yml

What is done already is not run again: interrupt it and start it again with the same words.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.core.errors import guarded
from vireid.core.options import refuse_unused
from vireid.core.paths import path_argument

UNUSED = {"dry_run": ("jobs", "copy", "check"), "emit_jobs": ("jobs", "copy", "check"), "collect": ("jobs",)}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--suite", required=True, type=path_argument, metavar="FILE.yml")
    made.add_argument(
        "--out", required=True, type=path_argument, metavar="DIR", help="folder of the runs and the tables"
    )
    made.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="[DATASET:]KEY=VALUE",
        help="override for all rows, or of one data set",
    )
    made.add_argument("--seeds", type=int, nargs="+", default=[], help="instead of the suite's")
    made.add_argument(
        "--reduced", type=path_argument, metavar="FILE.yml", help="smaller, on synthetic people: benchmarks/reduced.yml"
    )
    made.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (default 1)")
    made.add_argument(
        "--copy", type=path_argument, metavar="DIR", help="also put the tables and pictures, without the runs, there"
    )
    made.add_argument("--check", action="store_true", help="exit code 1 where a number is not the published one")
    mode = made.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="check everything, say what would run, and end")
    mode.add_argument("--emit-jobs", action="store_true", help="print one command for each missing run, for a cluster")
    mode.add_argument(
        "--collect", action="append", type=path_argument, metavar="DIR", help="make the tables from runs made elsewhere"
    )
    return made


@guarded
def main(argv: list[str] | None = None) -> int:
    made = parser()
    arguments = made.parse_args(argv)
    for mode, unused in UNUSED.items():
        if getattr(arguments, mode):
            refuse_unused(made, arguments, unused, f"with --{mode.replace('_', '-')}")
    from vireid.suites.compare import Comparison, misses
    from vireid.suites.reduced import read_reduction

    reduced = read_reduction(arguments.reduced) if arguments.reduced else None
    settings = {"data": arguments.data, "seeds": arguments.seeds, "reduced": reduced}
    comparison = Comparison.of(arguments.suite, arguments.out, Path(__file__).with_name("train_net.py"), **settings)
    if reduced and not arguments.dry_run:
        reduced.make_people(comparison.suite)
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
        print(f"not the published number: {text}")
    return 1 if missed or results.failures() else 0


if __name__ == "__main__":
    raise SystemExit(main())
