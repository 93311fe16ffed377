#!/usr/bin/env python3
"""Average the results of the ten RegDB splits: the same as `vireid aggregate`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "aggregate", prog="tools/aggregate_trials.py")
main = partial(run_command, "aggregate", prog="tools/aggregate_trials.py")

if __name__ == "__main__":
    raise SystemExit(main())
