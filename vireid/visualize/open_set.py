"""Section of the report of a run on verification and open-set identification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vireid.evaluation.open_set.report import OpenSetReport, limits_text, rate_text
from vireid.runs.reading import Run
from vireid.visualize.rendering import PageImage


@dataclass(frozen=True)
class OpenSetTable:
    """Rates of one protocol in percent, and what they were measured on."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    facts: Sequence[str]


@dataclass(frozen=True)
class OpenSetSection:
    """Tables of all protocols, and the plots."""

    tables: Sequence[OpenSetTable]
    plots: Sequence[PageImage]
    explanations: Sequence[str]


def open_set_reports(run: Run) -> dict[str, OpenSetReport]:
    """The open-set results of a run by protocol."""
    return {result.name: result.open_set for result in run.results if result.open_set is not None}


def open_set_section(run: Run, plots: Sequence[PageImage]) -> OpenSetSection | None:
    """Tables, plots and how to read them; None without open-set results."""
    reports = open_set_reports(run)
    if not reports:
        return None
    return OpenSetSection([_table(name, report) for name, report in reports.items()], plots, _explanations(reports))


def _table(name: str, report: OpenSetReport) -> OpenSetTable:
    ranks = list(report.rates[0].fnir)
    rows = [
        [
            f"{100 * one.wanted:g}",
            limits_text(one.limits),
            rate_text(one.fpir),
            *(rate_text(one.fnir[rank]) for rank in ranks),
            f"{100 * one.misidentified:.1f}",
        ]
        for one in report.rates
    ]
    headings = ["FPIR wanted", "Threshold", "FPIR", *(f"FNIR rank-{rank}" for rank in ranks), "Misidentified"]
    return OpenSetTable(name, headings, rows, report.facts())


def _explanations(reports: Mapping[str, OpenSetReport]) -> list[str]:
    texts = [
        "FPIR: share of the searches by persons who are not enrolled that report a match. FNIR: share of the searches "
        "by enrolled persons whose identity is not reported within the rank. Misidentified: share of these that report "
        "another person first; it is part of FNIR.",
        "DET: both error rates on normal-deviate axes, from the first trial. The rings are the thresholds of the "
        "table.",
    ]
    if any(report.rule is None for report in reports.values()):
        texts.append(
            "Oracle thresholds are chosen on the test searches themselves. A system in use has no such choice; its "
            "errors are larger."
        )
    if any(report.calibration is not None for report in reports.values()):
        texts.append(
            "Reliability: of the comparisons with probability p, a share p should be of one person. The calibration "
            "was fitted on held-out identities. Probabilities are for the share of such pairs among those of the fit."
        )
    return texts
