#!/usr/bin/env python3
"""Put the results of RegDB's ten trials, each with a model of its own, into one row with mean and spread.

python tools/aggregate_trials.py runs/regdb/agw/trial_* [--out runs/regdb/agw/metrics.json]
"""

from __future__ import annotations

import argparse

from vireid.core.errors import guarded
from vireid.core.io import write_json
from vireid.core.paths import path_argument
from vireid.runs.aggregate import aggregate, format_aggregates, read_trials


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="aggregate_trials.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "runs", nargs="+", type=path_argument, metavar="RUN", help="folders of runs, or their metrics.json"
    )
    made.add_argument("--trials", type=int, default=10, help="how many there are in all (default: 10)")
    made.add_argument(
        "--out", type=path_argument, metavar="FILE.json", help="also write the row, with each trial's values"
    )
    return made


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    rows = aggregate(read_trials(arguments.runs), trials=arguments.trials)
    print(format_aggregates(rows))
    if arguments.out:
        write_json(arguments.out, {"results": {name: row.to_json() for name, row in rows.items()}})
        print(f"results: {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
