#!/usr/bin/env python3
"""Pictures from the saved results of a run.

tools/visualize.py --run runs/demo                 report.html, one page with everything, and pictures/
tools/visualize.py tsne --run runs/demo            one picture: figures/tsne.png, .pdf and .html
"""

from __future__ import annotations

import argparse

from vireid.core.errors import guarded
from vireid.core.options import refuse_unused
from vireid.core.paths import path_argument

USED = {  # kind -> the options that have an effect on it
    "report": {"queries"},
    "ranklist": {"out", "queries", "protocol"},
    "attention": {"out", "people", "seed", "beside"},
    "tsne": {"out", "people", "seed"},
    "distances": {"out", "seed"},
    "cmc": {"out"},
    "curves": {"out"},
}
KINDS = tuple(USED)
OPTIONS = ("out", "queries", "protocol", "people", "seed", "beside")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("kind", nargs="?", default="report", choices=KINDS, help="what to make (default: report)")
    made.add_argument("--run", required=True, type=path_argument, metavar="DIR", help="OUTPUT_DIR of a run")
    made.add_argument(
        "--out", type=path_argument, metavar="DIR", help="folder of the picture (default: DIR/figures; not for report)"
    )
    made.add_argument("--queries", type=int, default=8, metavar="N", help="ranked lists for each protocol (default 8)")
    made.add_argument("--protocol", action="append", default=[], metavar="NAME", help="ranklist: only this one")
    made.add_argument("--people", type=int, metavar="N", help="tsne: default 20; attention: default 4")
    made.add_argument("--seed", type=int, default=0, help="draws people and pairs (default 0)")
    made.add_argument(
        "--beside",
        action="append",
        default=[],
        type=path_argument,
        metavar="DIR",
        help="attention: another run, same people",
    )
    return made


@guarded
def main(argv: list[str] | None = None) -> int:
    made = parser()
    arguments = made.parse_args(argv)
    unused = [option for option in OPTIONS if option not in USED[arguments.kind]]
    refuse_unused(made, arguments, unused, f"for {arguments.kind}")
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
    """The pictures of one kind."""
    from vireid.visualize import single

    run, seed = arguments.run, arguments.seed
    if arguments.kind == "attention":
        from vireid.visualize.plots.attention_energy import attention_picture

        return [attention_picture([run, *arguments.beside], people=arguments.people or 4, seed=seed)]
    made = {
        "ranklist": lambda: single.ranklist_of(run, queries=arguments.queries, protocols=arguments.protocol),
        "tsne": lambda: single.tsne_of(run, people=arguments.people or 20, seed=seed),
        "distances": lambda: single.distances_of(run, seed=seed),
        "cmc": lambda: single.cmc_of(run),
        "curves": lambda: single.curves_of(run),
    }
    return made[arguments.kind]()


if __name__ == "__main__":
    raise SystemExit(main())
