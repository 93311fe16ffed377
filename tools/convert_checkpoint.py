#!/usr/bin/env python3
"""Convert a checkpoint of a released code to safetensors: the same as `vireid convert`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "convert", prog="tools/convert_checkpoint.py")
main = partial(run_command, "convert", prog="tools/convert_checkpoint.py")

if __name__ == "__main__":
    raise SystemExit(main())
