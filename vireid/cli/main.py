"""Dispatch of the `vireid` command, and the functions behind `tools/*.py`.

Each command is a module of this package with `add_arguments(parser)`, `run(arguments, parser) -> int` and `EXAMPLES`.
A module is imported only when its command is used, and imports torch only inside `run`, so that help texts stay fast.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import vireid
from vireid.core.errors import UserError, guarded, nearest

COMMANDS = {  # name -> one-line purpose; the module has the name of the command
    "train": "train a config, then evaluate it by its protocols",
    "eval": "evaluate a trained run, or weights, by the protocols of a config",
    "show": "print the resolved config and the inputs of each component",
    "check-data": "check a dataset on disk: folders, lists, images, attributes",
    "synth": "write a synthetic dataset in the layout of a real one",
    "suite": "run a suite of configs and write its tables",
    "aggregate": "average the results of the ten RegDB splits",
    "visualize": "write the report or one figure of a finished run",
    "gallery": "build a gallery of embeddings and search it with images",
    "threshold": "choose thresholds of a run for wanted false-alarm rates",
    "bundle": "write the model of a run as a folder that can be shared",
    "export": "export a trained model to ONNX, OpenVINO or torch.export",
    "push": "upload the model of a run, or a bundle, to a Hugging Face hub",
    "pull": "download a bundle of a Hugging Face hub into a folder",
    "convert": "convert a checkpoint of a released code to safetensors",
    "leak": "evaluate retrieval by the attribute labels alone",
    "zoo": "write MODEL_ZOO.md from configs and committed results",
    "list": "list components (losses, heads, datasets, ...) with their arguments",
    "completion": "print a completion script for bash or zsh",
}
ENTRY = str(Path(__file__).resolve().parents[1] / "__main__.py")  # to start vireid in another process
EXAMPLES = """examples:
  vireid synth --out datasets/demo --identities 220 --size 128x64
  vireid train --config-file configs/demo/sysu_mmd.yml OUTPUT_DIR runs/mmd
  vireid eval --config-file configs/demo/sysu_mmd.yml OUTPUT_DIR runs/mmd
  vireid list losses

`vireid COMMAND --help` describes one command."""


def module_of(name: str) -> ModuleType:
    """Import the module of a command."""
    return import_module(f"vireid.cli.{name.replace('-', '_')}")


def command_parser(name: str, *, prog: str | None = None) -> argparse.ArgumentParser:
    """Build the argument parser of a command.

    Args:
        name: A key of `COMMANDS`.
        prog: Program name in the help text; `vireid NAME` if None.

    Example:
        >>> command_parser("show").parse_args(["--config-file", "a.yml", "SEED", "3"]).overrides
        ['SEED', '3']
    """
    module = module_of(name)
    examples = module.EXAMPLES.strip("\n")
    parser = argparse.ArgumentParser(
        prog=prog or f"vireid {name}",
        description=module.__doc__,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def run_command(name: str, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Parse the arguments of a command, run it and return its exit code.

    Args:
        name: A key of `COMMANDS`.
        argv: Arguments after the name of the command; those of this process if None.
        prog: Program name in the help text; `vireid NAME` if None.
    """

    @guarded
    def main(words: list[str] | None) -> int:
        words = sys.argv[1:] if words is None else words
        parser = command_parser(name, prog=prog)
        arguments = parser.parse_args(words)
        arguments.command_line = [name, *words]
        return module_of(name).run(arguments, parser)

    return main(None if argv is None else list(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `vireid` command and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in COMMANDS:
        return run_command(words[0], words[1:])
    return _overview(words)


def overview_parser() -> argparse.ArgumentParser:
    """Build the parser of `vireid` without a command: the list of commands and `--version`."""
    width = max(map(len, COMMANDS)) + 2
    commands = "\n".join(f"  {name:{width}}{purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="vireid",
        usage="vireid [--version] COMMAND [ARGUMENTS]",
        description="Visible-infrared person re-identification: train, evaluate, compare and search.",
        epilog=f"commands:\n{commands}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vireid {vireid.__version__}")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of the commands below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="arguments of the command")
    return parser


@guarded
def _overview(words: list[str] | None) -> int:
    parser = overview_parser()
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return 0
    raise UserError(
        f"vireid: unknown command {arguments.command!r}{nearest(arguments.command, COMMANDS)}\n"
        f"    Commands: {', '.join(COMMANDS)}"
    )
