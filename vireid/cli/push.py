"""Upload the model of a run, or a bundle, to a Hugging Face hub.

The access token is that of `hf auth login`, or the environment variable HF_TOKEN. The address of the hub is
HF_ENDPOINT, or the public hub. The repository is created if it does not exist.
"""

from __future__ import annotations

import argparse

from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s runs/mmd OWNER/sysu-mmd --license "CC BY-NC 4.0"
  %(prog)s bundles/mmd OWNER/sysu-mmd --private
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid push`."""
    parser.add_argument("model", type=path_argument, metavar="RUN", help="run folder or bundle folder")
    parser.add_argument("repo", metavar="OWNER/NAME", help="repository on the hub")
    parser.add_argument("--license", metavar="TEXT", help="license of the weights (default: that of the bundle)")
    parser.add_argument(
        "--training-data", metavar="TEXT", help="name of the training data (default: the dataset); needed for CSV files"
    )
    parser.add_argument(
        "--private", action="store_true", help="create a private repository; an existing public one is refused"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="branch, created if it does not exist (default: main)")
    parser.add_argument("--message", metavar="TEXT", help="message of the commit")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid push` and return its exit code."""
    from vireid.embedder.sharing import push_to_hub

    reference = push_to_hub(
        arguments.model,
        arguments.repo,
        license=arguments.license,
        training_data=arguments.training_data,
        private=arguments.private,
        revision=arguments.revision,
        message=arguments.message,
    )
    print(f'uploaded; vireid.load("{reference}") loads it')
    return 0
