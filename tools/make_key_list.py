#!/usr/bin/env python3
"""Write the key list of a released network from a JSON summary of its state dict.

IN contains the tensors under "keys" or "entries", each with "key", "shape" and, if known, "used" (whether the forward
pass of the released code uses it). "n_class" is the number of identities, unless --num-ids is given.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vireid.core.errors import UserError, guarded
from vireid.core.paths import path_argument


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name of the release; the list is OUT/<model>.json.gz")
    parser.add_argument("source", type=path_argument, metavar="IN", help="JSON summary of the state dict")
    parser.add_argument("--num-ids", type=int, metavar="N", help="number of identities of the network")
    parser.add_argument(
        "--out", type=path_argument, default=Path("vireid/interop/keys"), help="folder (default %(default)s)"
    )
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid.interop.released.lists import from_description, packed

    try:
        content = json.loads(arguments.source.read_text(encoding="utf-8"))
        key_list = from_description(content, arguments.num_ids)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{arguments.source}: not a summary of a state dict ({type(error).__name__}: {error})"
        ) from error
    target = arguments.out / f"{arguments.model}.json.gz"
    target.write_bytes(packed(key_list))
    print(f"{target}: {len(key_list['keys'])} tensors, {sum(not used for *_, used in key_list['keys'])} never used")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
