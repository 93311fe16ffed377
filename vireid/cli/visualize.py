"""Write the HTML report, or one figure, from the saved results of a run.

The report is RUN/report.html with RUN/pictures. A figure is written as .png, .pdf and .html.
"""

from __future__ import annotations

import argparse

from vireid.core.options import former_name, refuse_unused
from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s --run runs/demo
  %(prog)s tsne --run runs/demo --people 30
  %(prog)s attention --run runs/demo --compare runs/baseline
"""
USED = {  # figure -> the options that have an effect on it
    "report": {"queries"},
    "ranklist": {"out", "queries", "protocol"},
    "attention": {"out", "people", "seed", "compare"},
    "tsne": {"out", "people", "seed"},
    "distances": {"out", "seed"},
    "cmc": {"out"},
    "curves": {"out"},
    "open-set": {"out"},
}
OPTIONS = ("out", "queries", "protocol", "people", "seed", "compare")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid visualize`."""
    parser.add_argument(
        "kind",
        nargs="?",
        default="report",
        choices=list(USED),
        metavar="KIND",
        help=f"{', '.join(USED)} (default: report)",
    )
    parser.add_argument("--run", required=True, type=path_argument, metavar="RUN", help="run folder (OUTPUT_DIR)")
    parser.add_argument(
        "--out", type=path_argument, metavar="DIR", help="folder of the figure (default: RUN/figures; not for report)"
    )
    parser.add_argument(
        "--queries", type=int, default=8, metavar="N", help="number of ranked lists for each protocol (default: 8)"
    )
    parser.add_argument(
        "--protocol", action="append", default=[], metavar="NAME", help="ranklist: only this protocol; can be repeated"
    )
    parser.add_argument(
        "--people", type=int, metavar="N", help="number of identities (default: 20 for tsne, 4 for attention)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of sampled identities and pairs (default: 0)")
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        type=path_argument,
        metavar="RUN",
        help="attention: another run to show for the same identities; can be repeated",
    )
    former_name(parser, "--beside", dest="compare", action="append", type=path_argument)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid visualize` and return its exit code."""
    unused = [option for option in OPTIONS if option not in USED[arguments.kind]]
    refuse_unused(parser, arguments, unused, f"for {arguments.kind}")
    if arguments.kind == "report":
        from vireid.visualize.page import write_report

        print(write_report(arguments.run, queries=arguments.queries))
        return 0
    from vireid.visualize.single import write_single

    for picture in pictures(arguments):
        for path in write_single(picture, arguments.out or arguments.run / "figures"):
            print(path)
    return 0


def pictures(arguments: argparse.Namespace) -> list:
    """Draw the figures of one kind."""
    from vireid.visualize import single

    folder, seed = arguments.run, arguments.seed
    if arguments.kind == "attention":
        from vireid.visualize.plots.attention_energy import attention_picture

        return [attention_picture([folder, *arguments.compare], people=arguments.people or 4, seed=seed)]
    kinds = {
        "ranklist": lambda: single.ranklist_of(folder, queries=arguments.queries, protocols=arguments.protocol),
        "tsne": lambda: single.tsne_of(folder, people=arguments.people or 20, seed=seed),
        "distances": lambda: single.distances_of(folder, seed=seed),
        "cmc": lambda: single.cmc_of(folder),
        "curves": lambda: single.curves_of(folder),
        "open-set": lambda: single.open_set_of(folder),
    }
    return kinds[arguments.kind]()
