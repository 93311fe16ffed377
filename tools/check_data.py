#!/usr/bin/env python3
"""Check the dataset of a config: the same as `vireid check-data`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "check-data", prog="tools/check_data.py")
main = partial(run_command, "check-data", prog="tools/check_data.py")

if __name__ == "__main__":
    raise SystemExit(main())
