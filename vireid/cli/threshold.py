"""Choose thresholds of a run for wanted false-alarm rates, on identities that it was not trained on.

A search reports a match if its similarity is above the threshold. The false-alarm rate, FPIR, is the share of searches
by persons who are not in the gallery that report a match. The identities are those that HELDOUT_IDENTITIES kept out of
training, or the test identities of another dataset. The thresholds and the calibration are stored in the run;
`vireid bundle` and `vireid gallery search` use them.
"""

from __future__ import annotations

import argparse

from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s runs/mmd --fpir 0.1 0.05
  %(prog)s runs/mmd --fpir 0.01 --sure --enrolled 200
  %(prog)s runs/mmd --fpir 0.1 --people test --set DATA.ROOT datasets/ours
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid threshold`."""
    parser.add_argument("model", type=path_argument, metavar="RUN", help="run folder; its selected checkpoint is used")
    parser.add_argument(
        "--fpir", type=float, nargs="+", default=[0.1], metavar="RATE", help="wanted rates in (0, 1) (default: 0.1)"
    )
    parser.add_argument(
        "--people", choices=("heldout", "test"), default="heldout", help="identities that search (default: heldout)"
    )
    parser.add_argument("--protocol", metavar="ENTRY", help="entry of EVALUATION (default: the first)")
    parser.add_argument(
        "--enrolled", type=int, metavar="N", help="identities in the gallery of a search (default: half of them)"
    )
    parser.add_argument("--sure", action="store_true", help="the rate is at most the wanted one with --confidence")
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="P", help="confidence of the intervals (default: 0.95)"
    )
    parser.add_argument(
        "--calibration", choices=("logistic", "isotonic", "none"), default="logistic", help="default: logistic"
    )
    parser.add_argument(
        "--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="setting other than in the run"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid threshold` and return its exit code."""
    from vireid.embedder.threshold import choose_thresholds
    from vireid.runs.folder import RunFolder

    rule = choose_thresholds(
        arguments.model,
        fpir=arguments.fpir,
        people=arguments.people,
        protocol=arguments.protocol,
        enrolled=arguments.enrolled,
        confidence=arguments.confidence,
        sure=arguments.sure,
        calibration=None if arguments.calibration == "none" else arguments.calibration,
        overrides=[word for pair in arguments.set for word in pair],
    )
    print("\n".join(rule.lines()))
    print(f"stored in {RunFolder(arguments.model).thresholds}")
    return 0
