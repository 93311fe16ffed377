#!/usr/bin/env python3
"""Turn a checkpoint of a released code into a file that `WEIGHTS` takes; no code in it is run.

Tensors that the release never uses are dropped; anything else that does not fit is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.core.errors import guarded


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: tools/convert_checkpoint.py --from agw regdb_agw_best.t agw_3.safetensors --trial 3",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="file of the released code (.t, .pth)")
    parser.add_argument("target", type=Path, metavar="OUT", help="file to write (.safetensors)")
    parser.add_argument("--from", dest="family", required=True, metavar="RELEASE", help="for example agw, ddag, mpanet")
    parser.add_argument("--trial", type=int, metavar="N", help="RegDB: the split that it was trained on, 1 to 10")
    parser.add_argument("--data", metavar="NAME", help="SysuMM01, RegDB or LLCM (default: by the number of identities)")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid.core.errors import UserError
    from vireid.interop.released.files import convert_file
    from vireid.zoo import list_models

    if arguments.target.suffix != ".safetensors":
        raise UserError(f"{arguments.target}: OUT must end in .safetensors")
    made = convert_file(
        arguments.family, arguments.source, arguments.target, data=arguments.data, trial=arguments.trial
    )
    where = f"{made.facts['data']}, trial {made.facts['trial']}" if "trial" in made.facts else made.facts["data"]
    print(f"{arguments.target}: {made.model}, {where}, {made.facts['num_ids']} identities; {made.tensors} tensors")
    print(f"{made.dropped} tensors that our network does not have were dropped")
    if made.composition in list_models():
        trial = f" DATA.TRIAL {made.facts['trial']}" if "trial" in made.facts else ""
        print(
            f"evaluate: python tools/train_net.py --config-file configs/{made.composition}.yml --eval-only "
            f"WEIGHTS {arguments.target}{trial}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
