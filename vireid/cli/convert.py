"""Convert a checkpoint of a released code to a .safetensors file for WEIGHTS; no code in the checkpoint is executed.

Tensors that the released code never uses are dropped. Any other tensor that does not fit is an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from vireid.core.errors import UserError
from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s --from agw regdb_agw_best.t agw_3.safetensors --split 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid convert`."""
    parser.add_argument("source", type=path_argument, metavar="IN", help="checkpoint of the released code (.t, .pth)")
    parser.add_argument("target", type=path_argument, metavar="OUT", help="file to write (.safetensors)")
    parser.add_argument(
        "--from", dest="family", required=True, metavar="RELEASE", help="released code, such as agw, ddag or mpanet"
    )
    parser.add_argument("--split", "--trial", type=int, metavar="N", help="RegDB: the split it was trained on, 1 to 10")
    parser.add_argument(
        "--data", metavar="NAME", help="SysuMM01, RegDB or LLCM (default: from the number of identities)"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid convert` and return its exit code."""
    if arguments.target.suffix != ".safetensors":
        raise UserError(f"{arguments.target}: OUT must end in .safetensors")
    from vireid.interop.released.files import convert_file
    from vireid.zoo import models as zoo

    result = convert_file(
        arguments.family, arguments.source, arguments.target, data=arguments.data, split=arguments.split
    )
    facts = result.facts
    dataset = f"{facts['data']}, split {facts['split']}" if "split" in facts else facts["data"]
    identities = f"{facts['num_ids']} identities" if facts["num_ids"] else "no identity labels"
    print(f"{arguments.target}: {result.model}, {dataset}, {identities}; {result.tensors} tensors")
    if result.changes:
        print(f"{arguments.source}: {result.changes}")
    print(f"{result.dropped} tensors that our network does not have were dropped")
    if result.composition in zoo.list_models():
        file, misfit = zoo.config_path(result.composition), zoo.misfit(result.composition, arguments.target)
        if misfit:
            print(f"{shown(file)} does not evaluate it without changes: {misfit}")
            return 0
        split = f" DATA.SPLIT {facts['split']}" if "split" in facts else ""
        weights = quote(str(arguments.target))
        print(f"evaluate: vireid eval --config-file {quote(shown(file))} WEIGHTS {weights}{split}")
    return 0


def shown(file: Path) -> str:
    """Shorten a path to a relative one if the file is in the current directory."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
