#!/usr/bin/env python3
"""Write a dataset of synthetic identities: the same as `vireid synth`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "synth", prog="tools/make_synthetic.py")
main = partial(run_command, "synth", prog="tools/make_synthetic.py")

if __name__ == "__main__":
    raise SystemExit(main())
