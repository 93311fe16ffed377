"""Check the dataset of a config: folders, lists, every image, attributes, and what the protocols need.

Exit code: 0 if training can start, 1 if it cannot, 2 for an error in the command or the config.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vireid.cli.train import add_config_file, add_overrides
from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s --config-file configs/sysu/mmd.yml DATA.ROOT datasets/SYSU-MM01
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid check-data`."""
    add_config_file(parser)
    parser.add_argument(
        "--json", type=path_argument, metavar="FILE", help="also write the report to FILE, with unabridged lists"
    )
    parser.add_argument(
        "--quick", action="store_true", help="open no image; the same check that runs before each training"
    )
    add_overrides(parser)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid check-data` and return its exit code."""
    from vireid.config import Build, load_checked
    from vireid.config.validate import listing_findings
    from vireid.core.io import write_json
    from vireid.data.check import check_dataset

    build = Build(load_checked(arguments.config_file, arguments.overrides))
    config = build.config
    report = check_dataset(
        build.dataset(),
        size=tuple(config.SIZE),
        images=not arguments.quick,
        depth=build.depth(),
        cache=Path(config.CACHE_DIR),
        validate=lambda listing: listing_findings(build, listing),
    )
    settings = {key: value for key, value in config.DATA.items() if key != "NAME" and value}
    print(f"{config.DATA.NAME} ({', '.join(f'{key}: {value}' for key, value in settings.items())})")
    print(report.to_text())
    if arguments.json is not None:
        write_json(arguments.json, {"data": dict(config.DATA), "size": list(config.SIZE), **report.to_json()})
    return 0 if report.usable else 1
