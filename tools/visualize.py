#!/usr/bin/env python3
"""Write the report or one figure of a finished run: the same as `vireid visualize`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "visualize", prog="tools/visualize.py")
main = partial(run_command, "visualize", prog="tools/visualize.py")

if __name__ == "__main__":
    raise SystemExit(main())
