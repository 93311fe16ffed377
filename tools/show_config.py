#!/usr/bin/env python3
"""Print the resolved config and its components: the same as `vireid show`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "show", prog="tools/show_config.py")
main = partial(run_command, "show", prog="tools/show_config.py")

if __name__ == "__main__":
    raise SystemExit(main())
