"""Download a bundle of a Hugging Face hub into a folder, and verify it.

The access token is that of `hf auth login`, or the environment variable HF_TOKEN; public models need none. The address
of the hub is HF_ENDPOINT, or the public hub.
"""

from __future__ import annotations

import argparse

from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s OWNER/sysu-mmd --out bundles/mmd
  %(prog)s OWNER/sysu-mmd@v1 --out bundles/mmd
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid pull`."""
    parser.add_argument("repo", metavar="OWNER/NAME[@REVISION]", help="repository, and a branch, tag or commit of it")
    parser.add_argument("--out", type=path_argument, required=True, metavar="FOLDER", help="folder to write")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid pull` and return its exit code."""
    from vireid.embedder.model_card import training_data
    from vireid.embedder.sharing import pull_from_hub
    from vireid.runs.bundle_folder import read_config

    folder = pull_from_hub(arguments.repo, arguments.out)
    content = read_config(folder)
    print(f"{folder}: trained on {training_data(content['training'])}; license {content['license'] or 'not stated'}")
    return 0
