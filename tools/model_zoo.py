#!/usr/bin/env python3
"""Write MODEL_ZOO.md: the same as `vireid zoo`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "zoo", prog="tools/model_zoo.py")
main = partial(run_command, "zoo", prog="tools/model_zoo.py")

if __name__ == "__main__":
    raise SystemExit(main())
