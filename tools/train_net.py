#!/usr/bin/env python3
"""Train a config and evaluate it by its protocols: the same as `vireid train`."""

from functools import partial

from vireid.cli.main import command_parser, run_command

parser = partial(command_parser, "train", prog="tools/train_net.py")
main = partial(run_command, "train", prog="tools/train_net.py")

if __name__ == "__main__":
    raise SystemExit(main())
