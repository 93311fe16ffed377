"""Write the model of a run as a bundle: a folder with the weights, their settings and a model card.

A bundle needs neither the run nor its dataset: `vireid.load("FOLDER")` computes embeddings with it. It does not contain
the classifiers and memories of the training identities.
"""

from __future__ import annotations

import argparse

from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s runs/mmd --out bundles/mmd --license "CC BY-NC 4.0"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid bundle`."""
    parser.add_argument("model", type=path_argument, metavar="RUN", help="run folder; its selected checkpoint is used")
    parser.add_argument("--out", type=path_argument, required=True, metavar="FOLDER", help="folder to write")
    parser.add_argument("--license", metavar="TEXT", help="license of the weights (default: not stated)")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid bundle` and return its exit code."""
    from vireid.embedder.bundle import read_config
    from vireid.embedder.loading import save_bundle
    from vireid.embedder.model_card import training_data

    folder = save_bundle(arguments.model, arguments.out, license=arguments.license)
    content = read_config(folder)
    size, width = content["preprocessing"]["size"], content["embedding"]["width"]
    print(f"{folder}: embeddings of {width} values from images of {size[0]} x {size[1]}")
    print(f"trained on {training_data(content['training'])}; license {content['license'] or 'not stated'}")
    if not content["metrics"]:
        print("the run was not evaluated with this checkpoint, so that the model card has no results")
    return 0
