#!/usr/bin/env python3
"""Check the data set of a config: its folders, its lists, every image, its attributes, and what the protocols need."""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.core.errors import guarded
from vireid.core.paths import path_argument


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Exit code: 0 training can work, 1 it cannot, 2 a mistake in the command or the config. Example: "
        "tools/check_data.py --config-file configs/sysu/mmd.yml DATA.ROOT datasets/SYSU-MM01",
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a YAML file, for example of configs/")
    parser.add_argument(
        "--json", type=path_argument, metavar="FILE", help="write the report there, too, with uncut lists"
    )
    parser.add_argument("--quick", action="store_true", help="open no image; what train_net.py looks at first")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that win over FILE")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid.config import assemble
    from vireid.config.validate import listing_findings
    from vireid.core.io import write_json
    from vireid.data.check import check_dataset

    config = assemble.load(arguments.config_file, arguments.overrides)
    report = check_dataset(
        assemble.dataset(config),
        size=tuple(config.SIZE),
        images=not arguments.quick,
        depth=assemble.depth(config),
        cache=Path(config.CACHE_DIR),
        validate=lambda found: listing_findings(config, found),
    )
    settings = {key: value for key, value in config.DATA.items() if key != "NAME" and value}
    print(f"{config.DATA.NAME} ({', '.join(f'{key}: {value}' for key, value in settings.items())})")
    print(report.to_text())
    if arguments.json is not None:
        write_json(arguments.json, {"data": dict(config.DATA), "size": list(config.SIZE), **report.to_json()})
    return 0 if report.usable else 1


if __name__ == "__main__":
    raise SystemExit(main())
