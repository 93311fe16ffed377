"""What each section of the page says. Everything is HTML text; pictures come in ready."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from vireid.core.labels import with_name
from vireid.runs.reading import UNSTATED, Result, Run
from vireid.visualize import markup
from vireid.visualize.curves import series_name
from vireid.visualize.ranked import RankedQuery
from vireid.visualize.sheet import Sheet
from vireid.visualize.tiles import Photographs, Verdict, data_uri, framed, png_uri

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
}  # in the order of the table; a condition that is not here follows under its own name
SHEET_ROWS = 6  # identities in one table at most; further ones stand beside it
ORACLE = "† The attributes of the test images are the labels of their identities (an oracle)."


@dataclass(frozen=True)
class Plot:
    """A curve in the colours of a light and of a dark page."""

    light: bytes
    dark: bytes
    alt: str

    def html(self) -> str:
        return markup.figure(markup.picture(png_uri(self.light), self.alt, dark=png_uri(self.dark)))


@dataclass(frozen=True)
class Pictures:
    """What `page` draws for a run; empty where the run has no such results."""

    losses: Plot | None = None
    evaluations: Plot | None = None
    cmc: Plot | None = None
    sheet: Sheet | None = None
    ranked: Mapping[str, Sequence[RankedQuery]] = field(default_factory=dict)  # of each protocol


def head(run: Run, sections: Sequence[tuple[str, str]]) -> str:
    """Title, result in a sentence, what is missing, links to the sections."""
    return "\n".join(
        [
            "<header>",
            markup.paragraph("vireid: report of a run", "kicker"),
            f"<h1>{escape(run.name)}</h1>",
            *(markup.paragraph(text, "lead") for text in summary(run)),
            *(markup.note(text) for text in run.notes),
            markup.navigation(sections),
            "</header>",
        ]
    )


def summary(run: Run) -> list[str]:
    """The result, a sentence for each protocol."""
    if not run.results:
        return [f"Trained for {len(run.epochs.epoch)} epochs; not evaluated yet."]
    return [
        f"{title_of(result, run.results)}: the right person comes first for {100 * result.mean['rank1']:.1f}\u00a0% "
        f"of the queries, mAP {100 * result.mean['mAP']:.1f}\u00a0%."
        for result in run.results
        if {"rank1", "mAP"} <= set(result.mean)
    ]


def results(run: Run) -> str:
    """The table of scores with every condition, and how to read it."""
    found = run.results
    if not found:
        return markup.section("results", "Results", markup.note("Not evaluated: there is no metrics.json."))
    titles = "".join(f'<th scope="col">{escape(title_of(result, found))}</th>' for result in found)
    names = dict.fromkeys(name for result in found for name in result.mean)
    scores = [markup.row(_heading(name), [score(result, name) for result in found]) for name in names]
    extra = dict.fromkeys(name for result in found for name in result.conditions if name not in CONDITIONS)
    labels = {**CONDITIONS, **{name: name.replace("_", " ").capitalize() for name in extra}}
    rows = [
        markup.row(label, [escape(result.condition(name)) for result in found], merge=True)
        for name, label in labels.items()
        if name != "draw" or any("draw" in result.conditions for result in found)
    ]
    rows.append(markup.row("Queries counted", [escape(_queries(result)) for result in found], merge=True))
    oracle = markup.paragraph(ORACLE, "faint") if any(result.oracle for result in found) else ""
    reading = "".join(markup.paragraph(text) for text in how_to_read(found))
    left = _table("Percent", titles, scores, "score") + oracle + reading
    return markup.section(
        "results", "Results", f'<div class="beside"><div>{left}</div>{_table("Measured under", titles, rows)}</div>'
    )


def score(result: Result, name: str) -> str:
    """HTML of a cell: mean and sample standard deviation in percent.

    >>> score(Result("all", {}, {"rank1": 0.3456}, {"rank1": 0.0123}, ()), "rank1")
    '34.6 <span class="spread">± 1.2</span>'
    """
    if name not in result.mean:
        return "-"
    spread = result.spread.get(name)
    margin = f' <span class="spread">± {100 * spread:.1f}</span>' if spread is not None else ""
    return f"{100 * result.mean[name]:.1f}{margin}{' †' if result.oracle else ''}"


def how_to_read(found: Sequence[Result]) -> list[str]:
    """Sentences below the table."""
    texts = [
        "Rank-k is the share of the queries whose person is found within the first k ranks; mAP is high where all "
        "images of the person come early, mINP where even the last one does."
    ]
    if any(value is not None for result in found for value in result.spread.values()):
        texts[0] += " After ± stands the sample standard deviation over the trials, each with its own gallery draw."
    for result in found:
        if result.chance:
            gain = result.mean["rank1"] / result.chance if "rank1" in result.mean else 0.0
            times = f", so rank-1 is {gain:.1f} times chance" if gain else ""
            texts.append(
                f"{title_of(result, found)}: a gallery in random order would have rank-1 "
                f"{100 * result.chance:.1f}\u00a0%{times}."
            )
    return texts


def people(run: Run, pictures: Pictures, photographs: Photographs) -> str:
    """Contact sheet of the test people."""
    sheet = pictures.sheet
    if sheet is None or not sheet.identities:
        return markup.section("people", "Test people", markup.note("There are no ranked lists to take images from."))
    names = run.lists[0].camera_names if run.lists else {}
    heads = "".join(
        f'<th scope="col"><span>{escape(column.modality)}</span>cam {escape(with_name(column.camera, names))}</th>'
        for column in sheet.columns
    )
    tables = []
    rows = math.ceil(len(sheet.identities) / math.ceil(len(sheet.identities) / SHEET_ROWS))  # tables of equal length
    for start in range(0, len(sheet.identities), rows):
        body = "".join(
            f'<tr><th scope="row">id {identity}</th>'
            + "".join(
                f"<td>{_cell(path, f'Identity {identity}, {column.modality} camera {column.camera}', photographs)}</td>"
                for column, path in zip(sheet.columns, cells)
            )
            + "</tr>"
            for identity, cells in list(zip(sheet.identities, sheet.cells))[start : start + rows]
        )
        tables.append(
            f'<table class="sheet"><thead><tr><th scope="col">person</th>{heads}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )
    text = (
        f"{len(sheet.identities)} of the {sheet.people} people of the test set, at even distances by identity: one "
        "image of each camera. An empty place: the saved lists hold no image of this person in this camera."
    )
    return markup.section(
        "people", "Test people", markup.paragraph(text), f'<div class="sheets">{"".join(tables)}</div>'
    )


def training(run: Run, pictures: Pictures) -> str:
    """Loss curves, scores while training, speed."""
    plots = "".join(plot.html() for plot in (pictures.losses, pictures.evaluations) if plot is not None)
    if not plots:
        return markup.section("training", "Training", markup.note("log.jsonl holds no finished epoch."))
    epochs = run.epochs
    facts: dict[str, str] = {}
    if epochs.epoch:
        facts["epochs"] = str(len(epochs.epoch))
    if epochs.images_per_second is not None:
        facts["images per second"] = f"{epochs.images_per_second:.0f} on average"
    if epochs.waiting is not None:
        facts["waiting for data"] = f"{100 * epochs.waiting:.1f} % of the time"
    warning = ""
    if pictures.evaluations is not None:
        warning = "Scores while training are measured on the test set: to watch a run, not to choose its settings."
    beside = f"<div>{markup.paragraph(warning, 'faint') if warning else ''}{markup.facts(facts)}</div>"
    return markup.section("training", "Training", f'<div class="plots">{plots}{beside}</div>')


def cmc(run: Run, pictures: Pictures) -> str:
    """CMC curve and how it was made."""
    if pictures.cmc is None:
        return markup.section("cmc", "CMC curve", markup.note("Not evaluated: there is no metrics.json."))
    spread = any(value is not None for result in run.results for value in result.spread.values())
    texts = ["Share of the queries whose person is found within the first k ranks, mean over the trials."]
    if spread:
        texts.append("Bars: one sample standard deviation over the trials to each side, at the ranks of the table.")
    if any(result.chance for result in run.results):
        texts.append("Ring: rank-1 of a gallery in random order.")
    words = "".join(markup.paragraph(text) for text in texts)
    return markup.section("cmc", "CMC curve", f'<div class="plots">{pictures.cmc.html()}<div>{words}</div></div>')


def ranked(run: Run, pictures: Pictures, photographs: Photographs) -> str:
    """Ranked lists of each protocol, and the rule by which the queries were chosen."""
    if not pictures.ranked:
        return markup.section("ranked", "Ranked lists", markup.note("There is no rankings.npz to read them from."))
    text = (
        "All queries are ordered from best to worst by the place of their first right answer, and the ones below stand "
        "at even distances in that order: nobody picked them. At the left the query; then its answers, best first, "
        "with identity, camera and similarity. A tick and a green frame: the right person. A cross and a red frame: "
        "another one."
    )
    blocks = []
    for lists in run.lists:
        query, gallery = run.modalities(lists.name)
        result = next((result for result in run.results if result.name == lists.name), None)
        title = title_of(result, run.results) if result else lists.name
        blocks.append(
            f"<h3>{escape(title)}: {escape(query)} asks, {escape(gallery)} answers ({escape(lists.trial)})</h3>"
        )
        without = int((~lists.answerable()).sum())
        if without:
            blocks.append(
                markup.paragraph(f"Left out: {without} queries whose person is in none of the saved answers.", "faint")
            )
        items = pictures.ranked.get(lists.name, ())
        blocks += [_query(item, query, gallery, photographs, lists.camera_names) for item in items]
    return markup.section("ranked", "Ranked lists", markup.paragraph(text), *blocks)


def environment(run: Run) -> str:
    """What the run computed on."""
    values = {name.replace("_", " "): value for name, value in run.environment.items()}
    inside = markup.facts(values) if values else markup.note(f"Environment {UNSTATED}.")
    return markup.section("environment", "Environment", inside)


def config(run: Run) -> str:
    """The resolved config, folded away."""
    if not run.config:
        return markup.section("config", "Config", markup.note("There is no config.yml in the run's folder."))
    text = f"<details><summary>config.yml, every value resolved</summary><pre>{escape(run.config)}</pre></details>"
    return markup.section("config", "Config", text)


# -- parts of sections ----------------------------------------------------------------------------------------------


def _table(corner: str, titles: str, rows: Sequence[str], kind: str = "condition") -> str:
    return (
        f'<div class="scroll"><table class="results"><thead><tr><th scope="col">{corner}</th>{titles}</tr></thead>'
        f'<tbody class="{kind}">{"".join(rows)}</tbody></table></div>'
    )


def _query(item: RankedQuery, query: str, gallery: str, photographs: Photographs, names: Mapping[int, str]) -> str:
    camera = escape(with_name(item.camera, names))
    alt = f"Query: identity {item.identity}, {query} camera {with_name(item.camera, names)}"
    asked = markup.figure(
        markup.picture(data_uri(framed(photographs(item.path), Verdict.QUERY)), alt),
        f"<b>query</b>id {item.identity}<br>cam {camera}",
    )
    answers = []
    for place, answer in enumerate(item.answers, 1):
        word = answer.verdict.name.lower()
        seen = with_name(answer.camera, names)
        alt = f"Place {place}, {word}: identity {answer.identity}, {gallery} camera {seen}"
        mark = "✓" if answer.verdict is Verdict.RIGHT else "✗"
        answers.append(
            "<li>"
            + markup.figure(
                markup.picture(data_uri(framed(photographs(answer.path), answer.verdict)), alt),
                f'<span class="{word}">{mark} id {answer.identity}</span><br>cam {escape(seen)}<br>{answer.score:.3f}',
            )
            + "</li>"
        )
    return (
        f'<article class="query"><h4>Identity {item.identity}, camera {camera}: {escape(item.sentence())}</h4>'
        f'<div class="strip">{asked}<ol class="answers">{"".join(answers)}</ol></div></article>'
    )


def _cell(path: str | None, alt: str, photographs: Photographs) -> str:
    if path is None:
        return f'<div class="none"><span class="hidden">{escape(alt)}: no image</span></div>'
    return markup.picture(data_uri(photographs(path)), alt)


def title_of(result: Result, found: Sequence[Result]) -> str:
    """`SYSU-MM01 all`."""
    return f"{result.conditions.get('protocol', '')} {series_name(result, found)}".strip()


def _heading(name: str) -> str:
    return name.replace("rank", "Rank-")


def _queries(result: Result) -> str:
    """Queries in the means, and how many were left out, of each trial or of all where they agree."""
    counts = {(trial.get("queries"), trial.get("skipped")) for trial in result.trials}
    if not counts or any(None in pair for pair in counts):
        return UNSTATED
    texts = [
        f"{counted}" + (f" ({skipped} without a right image left out)" if skipped else "")
        for counted, skipped in counts
    ]
    return " or ".join(sorted(texts))
