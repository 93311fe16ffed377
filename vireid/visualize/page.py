"""`report.html`: one file that opens offline, made from the saved results of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.io import replaced_file, replaced_folder
from vireid.runs.reading import Run, read_run
from vireid.visualize import curves, markup, sections
from vireid.visualize.drawing import DARK, LIGHT, Theme
from vireid.visualize.ranked import draw_ranked, ranked_queries
from vireid.visualize.sections import Pictures, Plot
from vireid.visualize.sheet import contact_sheet, draw_sheet
from vireid.visualize.tiles import Photographs, png

LARGEST_PAGE = 4_000_000  # bytes
QUERIES, PEOPLE = 8, 12
SECTIONS = (
    ("results", "Results"),
    ("people", "Test people"),
    ("training", "Training"),
    ("cmc", "CMC curve"),
    ("ranked", "Ranked lists"),
    ("environment", "Environment"),
    ("config", "Config"),
)


def write_report(run: Path | str, *, queries: int = QUERIES) -> Path:
    """Make `RUN/report.html` and `RUN/pictures/*.png`; returns the page's path.

    `queries`: rows of ranked lists for each protocol. The page is a function of the run's files and images. It is
    written aside and renamed, so a page already there stays whole until the new one is; so is the folder `pictures`,
    which is replaced as one, with everything in it.
    Errors: UserError for a folder without results, damaged files, a page over 4 MB, or a folder that cannot be written.
    """
    if queries < 1:
        raise UserError(f"--queries must be at least 1, got {queries}")
    read, photographs = read_run(run), Photographs()
    pictures = draw(read, queries)
    content = html(read, pictures, photographs).encode("utf-8")
    if len(content) > LARGEST_PAGE:
        raise UserError(
            f"{read.folder / 'report.html'}: would be {len(content) / 1e6:.1f} MB, and a page of over "
            f"{LARGEST_PAGE / 1e6:.0f} MB opens badly on a phone; ask for fewer than --queries {queries}"
        )
    _write_pictures(read, pictures, photographs)
    page = read.folder / "report.html"
    with replaced_file(page) as file:
        file.write(content)
    return page


def draw(run: Run, queries: int = QUERIES) -> Pictures:
    """Everything that the page shows, drawn or chosen."""
    conditions = ", ".join(sections.title_of(result, run.results) for result in run.results)
    terms = ", ".join(run.epochs.terms)
    return Pictures(
        losses=_plot(
            lambda theme: curves.loss_curves(run.epochs, theme),
            f"Loss curves over {len(run.epochs.epoch)} epochs ({terms}), and the learning rate below them",
        )
        if run.epochs.epoch
        else None,
        evaluations=_plot(
            lambda theme: curves.evaluation_curves(run.evaluations, run.results, theme),
            "Scores on the test set while training: rank-1, mAP and mINP by epoch",
        )
        if run.evaluations
        else None,
        cmc=_plot(
            lambda theme: curves.cmc_curves(run.results, theme), f"CMC curves of {conditions}: share of queries by rank"
        )
        if run.results
        else None,
        sheet=contact_sheet(run, PEOPLE) if run.lists else None,
        ranked={lists.name: ranked_queries(lists, queries) for lists in run.lists},
    )


def html(run: Run, pictures: Pictures, photographs: Photographs) -> str:
    """The page as text."""
    body = [
        sections.results(run),
        sections.people(run, pictures, photographs),
        sections.training(run, pictures),
        sections.cmc(run, pictures),
        sections.ranked(run, pictures, photographs),
        sections.environment(run),
        sections.config(run),
    ]
    lost = _lost(photographs)
    return markup.document(
        f"{run.name}: vireid report",
        "\n".join(
            [
                sections.head(run, SECTIONS),
                "<main>",
                markup.note(lost) if lost else "",
                *body,
                "</main>",
                "<footer>Made by vireid from the saved results of the run. The page needs no network.</footer>",
            ]
        ),
    )


def _plot(make: Callable[[Theme], bytes], alt: str) -> Plot:
    return Plot(make(LIGHT), make(DARK), alt)


def _lost(photographs: Photographs) -> str:
    """Why some people are grey boxes."""
    if not photographs.unreadable:
        return ""
    path, reason = next(iter(photographs.unreadable.items()))
    return (
        f"Shown as a grey box, because they could not be read: {len(photographs.unreadable)} of the images, first "
        f"{path} ({reason}). Paths are those of the run: make the page in the folder where the run was started."
    )


def _write_pictures(run: Run, pictures: Pictures, photographs: Photographs) -> None:
    plots = {"losses": pictures.losses, "evaluations": pictures.evaluations, "cmc": pictures.cmc}
    files: dict[str, bytes] = {name: plot.light for name, plot in plots.items() if plot is not None}
    if pictures.sheet is not None and pictures.sheet.identities:
        files["contact_sheet"] = png(draw_sheet(pictures.sheet, photographs))
    for name, queries in pictures.ranked.items():
        asking, answering = run.modalities(name)
        title = f"{name}: {asking} asks, {answering} answers. Tick: right person, cross: another person."
        files[_file_name(f"ranked_{name}", files)] = png(draw_ranked(list(queries), photographs, title=title))
    with replaced_folder(run.folder / "pictures") as folder:
        for name, content in files.items():
            (folder / f"{name}.png").write_bytes(content)


def _file_name(name: str, taken: Mapping[str, object]) -> str:
    """A name that any file system takes and that no other picture has.

    >>> _file_name("ranked_a/b", {}), _file_name("ranked_a", {"ranked_a": b""})
    ('ranked_a_b', 'ranked_a_2')
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    names = [plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in names if candidate not in taken)
