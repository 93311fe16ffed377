"""Evaluate the run in OUTPUT_DIR, or the checkpoint in WEIGHTS, by the protocols of a config.

The same as `vireid train --eval-only`. Settings after the options override the config: KEY VALUE pairs.
"""

from __future__ import annotations

import argparse

from vireid.cli import train

EXAMPLES = """
  %(prog)s --config-file runs/mmd/config.yml
  %(prog)s --config-file configs/regdb/agw.yml WEIGHTS agw_3.safetensors DATA.SPLIT 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid eval`."""
    train.add_config_file(parser)
    train.add_processes(parser)
    train.add_overrides(parser)
    parser.set_defaults(eval_only=True, resume=False)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid eval` and return its exit code."""
    return train.run(arguments, parser)
