"""Print the resolved config, and which component reads which field of which other; no image is read."""

from __future__ import annotations

import argparse

EXAMPLES = """
  %(prog)s --config-file configs/sysu/mmd.yml
  %(prog)s --config-file configs/sysu/mmd.yml --only parts SOLVER.LR 0.05
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid show`."""
    parser.add_argument(
        "--config-file", required=True, metavar="FILE", help="config file (YAML), such as configs/sysu/mmd.yml"
    )
    parser.add_argument("--only", choices=["config", "parts"], help="print only the settings or only the components")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="settings that override the config file")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid show` and return its exit code."""
    from vireid.config import load_checked, show

    checked = load_checked(arguments.config_file, arguments.overrides)
    if arguments.only != "parts":
        print(show.resolved_text(checked), end="")
    if arguments.only is None:
        print()
    if arguments.only != "config":
        text = show.table(show.rows(checked))
        print(text if arguments.only else "\n".join(f"# {line}" for line in text.splitlines()))
    return 0
