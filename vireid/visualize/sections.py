"""Content of the report of a run: plain data for the template `run_report.html.j2`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vireid.core.labels import with_name
from vireid.evaluation.report import ORACLE_NOTE, UNSTATED
from vireid.runs.reading import Result, Run
from vireid.runs.results import Lists
from vireid.visualize.curves import series_name
from vireid.visualize.open_set import OpenSetSection, open_set_section
from vireid.visualize.ranked import RankedQuery
from vireid.visualize.ranked_section import RankedSection, ranked_section
from vireid.visualize.rendering import PageImage
from vireid.visualize.sheet import Column, Sheet
from vireid.visualize.tiles import Photographs, data_uri, png_uri

SECTIONS: Mapping[str, str] = {
    "results": "Results",
    "identities": "Test identities",
    "training": "Training",
    "cmc": "CMC curve",
    "open-set": "Verification and open-set identification",
    "ranked": "Ranked lists",
    "environment": "Environment",
    "config": "Config",
}  # id -> heading, in the order of the page
CONDITIONS: Mapping[str, str] = {
    "protocol": "Protocol",
    "direction": "Direction",
    "mode": "Mode",
    "shots": "Shots",
    "trials": "Trials",
    "draw": "Gallery draw",
    "feature": "Feature",
    "re_ranking": "Re-ranking",
    "attribute_source": "Attribute source",
    "checkpoint": "Checkpoint selection",
    "precision": "Precision",
    "seed": "Seed",
}  # in the order of the table; other conditions follow under the names that they have in metrics.json
SHEET_ROWS = 6  # most identities in one table; the tables stand next to each other


@dataclass(frozen=True)
class Plot:
    """A plot as two PNG files: one for light and one for dark pages."""

    light: bytes
    dark: bytes
    alt: str

    def image(self) -> PageImage:
        """Encode both files as data URIs."""
        return PageImage(png_uri(self.light), self.alt, png_uri(self.dark))


@dataclass(frozen=True)
class Pictures:
    """Plots, contact sheet and ranked queries of a run; None or empty where the run has no such results."""

    losses: Plot | None = None
    evaluations: Plot | None = None
    cmc: Plot | None = None
    open_set: Mapping[str, Plot] = field(default_factory=dict)  # file name -> plot
    sheet: Sheet | None = None
    ranked: Mapping[str, Sequence[RankedQuery]] = field(default_factory=dict)  # protocol -> queries


@dataclass(frozen=True)
class Score:
    """Mean and sample standard deviation over the trials, in percent."""

    mean: float
    spread: float | None
    oracle: bool


@dataclass(frozen=True)
class ScoreRow:
    """One metric; a score for each protocol, None where the protocol does not have it."""

    label: str
    scores: Sequence[Score | None]


@dataclass(frozen=True)
class ConditionRow:
    """One evaluation condition; a value for each protocol."""

    label: str
    values: Sequence[str]


@dataclass(frozen=True)
class ResultsSection:
    """Tables of scores and of evaluation conditions, one column for each protocol."""

    titles: Sequence[str]
    scores: Sequence[ScoreRow]
    conditions: Sequence[ConditionRow]
    explanations: Sequence[str]
    oracle_note: str


@dataclass(frozen=True)
class SheetColumn:
    """Heading of a column of the contact sheet."""

    modality: str
    camera: str


@dataclass(frozen=True)
class SheetRow:
    """One identity of the contact sheet; an image with an empty URI where the saved lists hold none."""

    identity: int
    images: Sequence[PageImage]


@dataclass(frozen=True)
class IdentitiesSection:
    """Contact sheet of test identities, cut into tables of equal length."""

    text: str
    columns: Sequence[SheetColumn]
    tables: Sequence[Sequence[SheetRow]]


@dataclass(frozen=True)
class TrainingSection:
    """Loss curves, scores during training, speed."""

    plots: Sequence[PageImage]
    facts: Mapping[str, str]
    warning: str


@dataclass(frozen=True)
class CmcSection:
    """CMC plot and how to read it."""

    plot: PageImage
    explanations: Sequence[str]


@dataclass(frozen=True)
class RunPage:
    """Content of the report of a run; a section is None or empty where the run has no such results."""

    name: str
    summary: Sequence[str]
    notes: Sequence[str]  # missing files, and the commands that write them
    unreadable: str  # which images could not be read; empty where all could
    sections: Mapping[str, str]
    results: ResultsSection | None
    identities: IdentitiesSection | None
    training: TrainingSection | None
    cmc: CmcSection | None
    open_set: OpenSetSection | None
    ranked: Sequence[RankedSection]
    environment: Mapping[str, object]
    config: str


def run_page(run: Run, pictures: Pictures, photographs: Photographs) -> RunPage:
    """Collect the content of all sections."""
    identities = identities_section(run, pictures.sheet, photographs)
    ranked = [
        ranked_section(
            lists, _title(run, lists), run.modalities(lists.name), pictures.ranked.get(lists.name, ()), photographs
        )
        for lists in run.lists
        if pictures.ranked
    ]
    open_set = open_set_section(run, [plot.image() for plot in pictures.open_set.values()])
    return RunPage(
        name=run.name,
        summary=summary(run),
        notes=run.notes,
        unreadable=_unreadable_note(photographs),
        sections={name: title for name, title in SECTIONS.items() if name != "open-set" or open_set is not None},
        results=results_section(run.results) if run.results else None,
        identities=identities,
        training=training_section(run, pictures),
        cmc=cmc_section(run, pictures.cmc),
        open_set=open_set,
        ranked=ranked,
        environment={name.replace("_", " "): value for name, value in run.environment.items()},
        config=run.config,
    )


def summary(run: Run) -> list[str]:
    """Rank-1 and mAP, one sentence for each protocol."""
    if not run.results:
        return [f"Trained for {len(run.epochs.epoch)} epochs; not evaluated yet."]
    return [
        f"{title_of(result, run.results)}: rank-1 {100 * result.mean['rank1']:.1f}\u00a0%, "
        f"mAP {100 * result.mean['mAP']:.1f}\u00a0%."
        for result in run.results
        if {"rank1", "mAP"} <= set(result.mean)
    ]


def results_section(results: Sequence[Result]) -> ResultsSection:
    """Scores and conditions of all protocols."""
    metrics = dict.fromkeys(name for result in results for name in result.mean)
    extra = dict.fromkeys(name for result in results for name in result.conditions if name not in CONDITIONS)
    labels = {**CONDITIONS, **{name: name.replace("_", " ").capitalize() for name in extra}}
    conditions = [
        ConditionRow(label, [result.condition(name) for result in results])
        for name, label in labels.items()
        if name != "draw" or any("draw" in result.conditions for result in results)
    ]
    conditions.append(ConditionRow("Queries evaluated", [_query_counts(result) for result in results]))
    return ResultsSection(
        titles=[title_of(result, results) for result in results],
        scores=[ScoreRow(name.replace("rank", "Rank-"), [score(r, name) for r in results]) for name in metrics],
        conditions=conditions,
        explanations=explanations(results),
        oracle_note=ORACLE_NOTE if any(result.oracle for result in results) else "",
    )


def score(result: Result, name: str) -> Score | None:
    """Mean and sample standard deviation of a metric in percent; None where the result does not have the metric.

    >>> score(Result("all", {}, {"rank1": 0.25}, {"rank1": 0.5}, ()), "rank1")
    Score(mean=25.0, spread=50.0, oracle=False)
    """
    if name not in result.mean:
        return None
    spread = result.spread.get(name)
    return Score(100 * result.mean[name], None if spread is None else 100 * spread, result.oracle)


def explanations(results: Sequence[Result]) -> list[str]:
    """How to read the table of scores; rank-1 of a random ranking where it is known."""
    texts = [
        "Rank-k is the share of the queries with a correct match within the first k ranks. mAP is the mean over the "
        "queries of the average precision. mINP is the mean of the inverse negative penalty, which depends on the "
        "rank of the last correct match."
    ]
    if any(value is not None for result in results for value in result.spread.values()):
        texts[0] += " The number after ± is the sample standard deviation over the trials, each with another gallery."
    for result in results:
        if result.chance:
            gain = result.mean["rank1"] / result.chance if "rank1" in result.mean else 0.0
            times = f"; the measured rank-1 is {gain:.1f} times as high" if gain else ""
            texts.append(
                f"{title_of(result, results)}: a random ranking has rank-1 {100 * result.chance:.1f}\u00a0%{times}."
            )
    return texts


def identities_section(run: Run, sheet: Sheet | None, photographs: Photographs) -> IdentitiesSection | None:
    """Contact sheet of the test identities; None without ranked lists."""
    if sheet is None or not sheet.identities:
        return None
    names = run.lists[0].camera_names if run.lists else {}
    rows = [
        SheetRow(identity, [_sheet_image(path, identity, c, photographs) for c, path in zip(sheet.columns, cells)])
        for identity, cells in zip(sheet.identities, sheet.cells)
    ]
    length = math.ceil(len(rows) / math.ceil(len(rows) / SHEET_ROWS))  # tables of equal length
    return IdentitiesSection(
        text=f"{len(rows)} of the {sheet.total} test identities, taken at equal distances from the sorted list, with "
        "one image from each camera. An empty place means that the saved ranked lists hold no image of this identity "
        "from this camera.",
        columns=[SheetColumn(column.modality, with_name(column.camera, names)) for column in sheet.columns],
        tables=[rows[start : start + length] for start in range(0, len(rows), length)],
    )


def _sheet_image(path: str | None, identity: int, column: Column, photographs: Photographs) -> PageImage:
    alt = f"Identity {identity}, {column.modality} camera {column.camera}"
    return PageImage(data_uri(photographs(path)) if path is not None else "", alt)


def training_section(run: Run, pictures: Pictures) -> TrainingSection | None:
    """Loss curves, scores during training and speed; None without a finished epoch."""
    plots = [plot.image() for plot in (pictures.losses, pictures.evaluations) if plot is not None]
    if not plots:
        return None
    epochs, facts = run.epochs, {}
    if epochs.epoch:
        facts["epochs"] = str(len(epochs.epoch))
    if epochs.images_per_second is not None:
        facts["images per second"] = f"{epochs.images_per_second:.0f} on average"
    if epochs.waiting is not None:
        facts["waiting for data"] = f"{100 * epochs.waiting:.1f} % of the time"
    warning = ""
    if pictures.evaluations is not None:
        warning = (
            "Scores during training are computed on the test set. Use them to monitor a run, not to choose its "
            "hyperparameters."
        )
    return TrainingSection(plots, facts, warning)


def cmc_section(run: Run, plot: Plot | None) -> CmcSection | None:
    """CMC plot and how to read it; None without results."""
    if plot is None:
        return None
    texts = ["Share of the queries with a correct match within the first k ranks, averaged over the trials."]
    if any(value is not None for result in run.results for value in result.spread.values()):
        texts.append("Error bars: plus and minus one sample standard deviation over the trials.")
    if any(result.chance for result in run.results):
        texts.append("Ring: rank-1 of a random ranking.")
    return CmcSection(plot.image(), texts)


def _title(run: Run, lists: Lists) -> str:
    """Title of the result of ranked lists."""
    result = next((result for result in run.results if result.name == lists.name), None)
    return title_of(result, run.results) if result else lists.name


def title_of(result: Result, results: Sequence[Result]) -> str:
    """Protocol and mode, for example `SYSU-MM01 all`."""
    return f"{result.conditions.get('protocol', '')} {series_name(result, results)}".strip()


def _query_counts(result: Result) -> str:
    """Number of evaluated and of skipped queries, of each trial or of all where they agree."""
    counts = {(trial.get("queries"), trial.get("skipped")) for trial in result.trials}
    if not counts or any(None in pair for pair in counts):
        return UNSTATED
    texts = [
        f"{evaluated}" + (f" ({skipped} without a correct match left out)" if skipped else "")
        for evaluated, skipped in counts
    ]
    return " or ".join(sorted(texts))


def _unreadable_note(photographs: Photographs) -> str:
    """Number of unreadable images with the first path and reason; empty where all images were read."""
    if not photographs.unreadable:
        return ""
    path, reason = next(iter(photographs.unreadable.items()))
    return (
        f"{len(photographs.unreadable)} images could not be read and are shown as gray boxes. The first is {path} "
        f"({reason}). Relative paths start at the folder in which the run was started: run this command there."
    )
