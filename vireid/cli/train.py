"""Train a config and evaluate it by its protocols; with --eval-only, evaluate a trained run.

Settings after the options override the config: KEY VALUE pairs, as in SOLVER.LR 0.05.
"""

from __future__ import annotations

import argparse

from vireid.cli.main import ENTRY
from vireid.core.options import refuse_unused

EXAMPLES = """
  %(prog)s --config-file configs/sysu/mmd.yml SOLVER.LR 0.05 OUTPUT_DIR runs/small_lr
  %(prog)s --config-file configs/sysu/mmd.yml --resume OUTPUT_DIR runs/small_lr
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid train`."""
    add_config_file(parser)
    parser.add_argument("--eval-only", action="store_true", help="evaluate the run in OUTPUT_DIR, or WEIGHTS")
    parser.add_argument("--resume", action="store_true", help="continue the run in OUTPUT_DIR if one exists")
    add_processes(parser)
    add_overrides(parser)


def add_config_file(parser: argparse.ArgumentParser) -> None:
    """Add --config-file, required."""
    parser.add_argument(
        "--config-file", required=True, metavar="FILE", help="config file (YAML), such as configs/sysu/mmd.yml"
    )


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add --num-gpus."""
    parser.add_argument(
        "--num-gpus", type=int, default=1, metavar="N", help="number of processes, one for each GPU (default: 1)"
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the KEY VALUE pairs at the end of the command line."""
    parser.add_argument(
        "overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that override the config file"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid train` and return its exit code."""
    if arguments.eval_only:
        refuse_unused(parser, arguments, ["resume"], "with --eval-only")
    from vireid.engine.launch import launch, report_errors_once
    from vireid.experiment.experiment import Experiment

    with report_errors_once():
        experiment = Experiment.from_config(arguments.config_file, arguments.overrides)
        code = launch(arguments.num_gpus, ENTRY, arguments.command_line)
        if code is not None:
            return code
        if arguments.eval_only:
            experiment.evaluate()
        else:
            experiment.train(resume=arguments.resume)
    return 0
