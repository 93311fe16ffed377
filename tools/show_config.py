#!/usr/bin/env python3
"""Show what a config means: the resolved settings, and which part needs what of which other.

python tools/show_config.py --config-file configs/sysu/mmd.yml [KEY VALUE ...]
"""

from __future__ import annotations

import argparse

from vireid.core.errors import guarded


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Show the resolved config and its parts. Reads no image.")
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a file of configs/ or one of your own")
    parser.add_argument("--only", choices=["config", "parts"], help="print one half only")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="settings that win over the file")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)

    from vireid.config import assemble, explain

    config = assemble.load(arguments.config_file, arguments.overrides)
    if arguments.only != "parts":
        print(explain.resolved_text(config), end="")
    if arguments.only is None:
        print()
    if arguments.only != "config":
        text = explain.table(explain.rows(config))
        print(text if arguments.only else "\n".join(f"# {line}" for line in text.splitlines()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
