#!/usr/bin/env python3
"""Turn a checkpoint of a released code into a file that `WEIGHTS` takes; no code in it is run.

Tensors that the release never uses are dropped; anything else that does not fit is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from vireid.core.errors import guarded
from vireid.core.paths import path_argument


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: tools/convert_checkpoint.py --from agw regdb_agw_best.t agw_3.safetensors --trial 3",
    )
    parser.add_argument("source", type=path_argument, metavar="IN", help="file of the released code (.t, .pth)")
    parser.add_argument("target", type=path_argument, metavar="OUT", help="file to write (.safetensors)")
    parser.add_argument("--from", dest="family", required=True, metavar="RELEASE", help="for example agw, ddag, mpanet")
    parser.add_argument("--trial", type=int, metavar="N", help="RegDB: the split that it was trained on, 1 to 10")
    parser.add_argument("--data", metavar="NAME", help="SysuMM01, RegDB or LLCM (default: by the number of identities)")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid import zoo
    from vireid.core.errors import UserError
    from vireid.interop.released.files import convert_file

    if arguments.target.suffix != ".safetensors":
        raise UserError(f"{arguments.target}: OUT must end in .safetensors")
    made = convert_file(
        arguments.family, arguments.source, arguments.target, data=arguments.data, trial=arguments.trial
    )
    where = f"{made.facts['data']}, trial {made.facts['trial']}" if "trial" in made.facts else made.facts["data"]
    print(f"{arguments.target}: {made.model}, {where}, {made.facts['num_ids']} identities; {made.tensors} tensors")
    if made.changes:
        print(f"{arguments.source}: {made.changes}")
    print(f"{made.dropped} tensors that our network does not have were dropped")
    if made.composition in zoo.list_models():
        file, misfit = zoo.config_path(made.composition), zoo.misfit(made.composition, arguments.target)
        if misfit:
            print(f"{shown(file)} does not evaluate it as it is: {misfit}")
            return 0
        trial = f" DATA.TRIAL {made.facts['trial']}" if "trial" in made.facts else ""
        print(
            f"evaluate: python tools/train_net.py --config-file {quote(shown(file))} --eval-only "
            f"WEIGHTS {quote(str(arguments.target))}{trial}"
        )
    return 0


def shown(file: Path) -> str:
    """A path as short as it can be typed here: relative where it lies below the current directory."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


if __name__ == "__main__":
    raise SystemExit(main())
