#!/usr/bin/env python3
"""Run a suite of configs and write its tables: the same as `vireid suite`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "suite", prog="tools/benchmark.py")
main = partial(run_command, "suite", prog="tools/benchmark.py")

if __name__ == "__main__":
    raise SystemExit(main())
