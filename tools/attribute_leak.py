#!/usr/bin/env python3
"""Evaluate retrieval by the attribute labels alone: the same as `vireid leak`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "leak", prog="tools/attribute_leak.py")
main = partial(run_command, "leak", prog="tools/attribute_leak.py")

if __name__ == "__main__":
    raise SystemExit(main())
