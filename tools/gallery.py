#!/usr/bin/env python3
"""Embed images with a trained model, and search them with images."""

from __future__ import annotations

import argparse

from vireid.core.errors import guarded
from vireid.core.paths import path_argument

EXAMPLE = """examples:
  tools/gallery.py build archive --config-file configs/demo/sysu_mmd.yml --images photos.csv --index FaissIVF PROBES=16
  tools/gallery.py search archive --config-file configs/demo/sysu_mmd.yml --images someone.png --modality infrared \\
      --camera 1 --camera 2 --modality-of-answers visible --out found.html
"""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    described = {"build": "make a gallery, or go on with one", "add": "add images", "search": "search with images"}
    for name, what in described.items():
        action = actions.add_parser(name, help=what, description=what)
        action.add_argument("gallery", type=path_argument, help="folder of the gallery")
        action.add_argument("--config-file", required=True, metavar="FILE", help="config of the run that was trained")
        action.add_argument("--images", required=True, type=path_argument, help="a folder, a CSV file or one image")
        action.add_argument("--modality", help="of images whose list does not say it: visible or infrared")
        action.add_argument(
            "--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="of the config"
        )
        if name != "search":
            action.add_argument("--camera", help="number of the camera of images whose list does not have it")
            action.add_argument("--skip-bad", action="store_true", help="report images that cannot be read, and go on")
            action.add_argument(
                "--refresh",
                action="store_true",
                help="embed images again that changed since they were embedded, or whose values in the list changed",
            )
    actions.choices["build"].add_argument(
        "--index", nargs="+", default=["FaissFlat"], metavar=("NAME", "KEY=VALUE"), help="default: FaissFlat (exact)"
    )
    search = actions.choices["search"]
    search.add_argument("--top", type=int, default=20, metavar="K", help="answers to each query (default 20)")
    search.add_argument("--camera", action="append", default=[], help="only answers of this camera")
    search.add_argument("--modality-of-answers", metavar="MODALITY", help="only answers of this modality")
    search.add_argument("--after", help="only answers not before this time: seconds, or 2024-05-31T10:20:30")
    search.add_argument("--before", help="only answers not after this time")
    search.add_argument("--out", type=path_argument, action="append", default=[], help="a .json, .csv or .html file")
    info = actions.add_parser("info", help="what a gallery holds", description="what a gallery holds")
    info.add_argument("gallery", type=path_argument, help="folder of the gallery")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    from vireid.gallery import commands

    print(commands.ACTIONS[arguments.action](**{k: v for k, v in vars(arguments).items() if k != "action"}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
