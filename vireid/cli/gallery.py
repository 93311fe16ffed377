"""Embed images with a trained model, store them as a gallery, and search the gallery with query images."""

from __future__ import annotations

import argparse

from vireid.core.options import former_name
from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s build archive --config-file configs/demo/sysu_mmd.yml --images photos.csv --index FaissIVF PROBES=16
  %(prog)s search archive --config-file configs/demo/sysu_mmd.yml --images query.png --modality infrared \\
      --camera 1 --camera 2 --gallery-modality visible --out matches.html
"""
ACTIONS = {
    "build": "build a gallery, or continue an interrupted build",
    "add": "add images to a gallery",
    "search": "search a gallery with query images",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid gallery`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, purpose in ACTIONS.items():
        action = actions.add_parser(name, help=purpose, description=purpose)
        action.add_argument("gallery", type=path_argument, help="folder of the gallery")
        action.add_argument("--config-file", required=True, metavar="FILE", help="config of the trained run")
        action.add_argument(
            "--images", required=True, type=path_argument, metavar="PATH", help="a folder, a CSV file or one image"
        )
        action.add_argument("--modality", help="modality of images whose list has none: visible or infrared")
        action.add_argument(
            "--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="override the config"
        )
        if name != "search":
            action.add_argument("--camera", metavar="N", help="camera number of images whose list has none")
            action.add_argument("--skip-bad", action="store_true", help="report unreadable images and continue")
            action.add_argument(
                "--refresh",
                action="store_true",
                help="embed again the images that changed, or whose values in the list changed",
            )
    actions.choices["build"].add_argument(
        "--index", nargs="+", default=["FaissFlat"], metavar=("NAME", "KEY=VALUE"), help="default: FaissFlat (exact)"
    )
    search = actions.choices["search"]
    search.add_argument("--top", type=int, default=20, metavar="K", help="results for each query (default: 20)")
    search.add_argument("--camera", action="append", default=[], metavar="N", help="only gallery images of this camera")
    search.add_argument("--gallery-modality", metavar="MODALITY", help="only gallery images of this modality")
    former_name(search, "--modality-of-answers", dest="gallery_modality")
    search.add_argument(
        "--after", metavar="TIME", help="only gallery images from this time on: seconds, or 2024-05-31T10:20:30"
    )
    search.add_argument("--before", metavar="TIME", help="only gallery images up to this time")
    search.add_argument(
        "--fpir", type=float, metavar="RATE", help="threshold of this false-alarm rate (`vireid threshold`)"
    )
    search.add_argument(
        "--out",
        type=path_argument,
        action="append",
        default=[],
        metavar="FILE",
        help="write the results to a .json, .csv or .html file",
    )
    info = actions.add_parser("info", help="describe a gallery", description="describe a gallery")
    info.add_argument("gallery", type=path_argument, help="folder of the gallery")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid gallery` and return its exit code."""
    from vireid.gallery import commands

    options = {key: value for key, value in vars(arguments).items() if key not in ("action", "command_line")}
    print(commands.ACTIONS[arguments.action](**options))
    return 0
