"""Write the report of a run: `report.html`, a single file that opens offline, and the folder `pictures`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.io import replaced_file, replaced_folder
from vireid.runs.reading import Run, read_run
from vireid.visualize import curves, open_set_curves
from vireid.visualize.drawing import DARK, LIGHT, Theme
from vireid.visualize.open_set import open_set_reports
from vireid.visualize.ranked import draw_ranked, ranked_caption, ranked_queries
from vireid.visualize.rendering import render_page
from vireid.visualize.sections import Pictures, Plot, run_page, title_of
from vireid.visualize.sheet import contact_sheet, draw_sheet
from vireid.visualize.tiles import Photographs, png

LARGEST_PAGE = 4_000_000  # bytes
QUERIES = 8  # ranked lists of each protocol
IDENTITIES = 12  # rows of the contact sheet


def write_report(run: Path | str, *, queries: int = QUERIES) -> Path:
    """Write `RUN/report.html` and `RUN/pictures/*.png` from the saved results of a run.

    The same files and images give the same page. The page and the folder `pictures` are replaced by atomic renames: an
    existing page stays complete until the new one is. Everything in an existing folder `pictures` is removed.

    Args:
        run: Output folder of the run.
        queries: Number of queries for each protocol whose ranked lists are shown.

    Returns:
        The path of the page.

    Raises:
        UserError: If the folder holds no results, a file is damaged, the page is over 4 MB or cannot be written.
    """
    if queries < 1:
        raise UserError(f"--queries must be at least 1, got {queries}")
    read, photographs = read_run(run), Photographs()
    pictures = draw(read, queries)
    content = html(read, pictures, photographs).encode("utf-8")
    if len(content) > LARGEST_PAGE:
        raise UserError(
            f"{read.folder / 'report.html'}: the page is {len(content) / 1e6:.1f} MB large, the limit is "
            f"{LARGEST_PAGE / 1e6:.0f} MB; use a smaller number than --queries {queries}"
        )
    _write_pictures(read, pictures, photographs)
    page = read.folder / "report.html"
    with replaced_file(page) as file:
        file.write(content)
    return page


def draw(run: Run, queries: int = QUERIES) -> Pictures:
    """Draw the plots and choose the images of the page."""
    conditions = ", ".join(title_of(result, run.results) for result in run.results)
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
            "Scores on the test set during training: rank-1, mAP and mINP by epoch",
        )
        if run.evaluations
        else None,
        cmc=_plot(
            lambda theme: curves.cmc_curves(run.results, theme), f"CMC curves of {conditions}: share of queries by rank"
        )
        if run.results
        else None,
        open_set=_open_set_plots(run),
        sheet=contact_sheet(run, IDENTITIES) if run.lists else None,
        ranked={lists.name: ranked_queries(lists, queries) for lists in run.lists},
    )


def html(run: Run, pictures: Pictures, photographs: Photographs) -> str:
    """Render the page as HTML text."""
    return render_page("run_report.html.j2", run_page(run, pictures, photographs))


def _open_set_plots(run: Run) -> dict[str, Plot]:
    reports = open_set_reports(run)
    if not reports:
        return {}
    names = ", ".join(reports)
    plots = {
        "roc": _plot(lambda theme: open_set_curves.roc_curves(reports, theme), f"ROC curves of {names}"),
        "det": _plot(lambda theme: open_set_curves.det_curves(reports, theme), f"DET curves of {names}"),
    }
    if any(report.calibration is not None for report in reports.values()):
        plots["reliability"] = _plot(
            lambda theme: open_set_curves.reliability_curves(reports, theme), f"Reliability diagram of {names}"
        )
    return plots


def _plot(draw_plot: Callable[[Theme], bytes], alt: str) -> Plot:
    return Plot(draw_plot(LIGHT), draw_plot(DARK), alt)


def _write_pictures(run: Run, pictures: Pictures, photographs: Photographs) -> None:
    plots = {"losses": pictures.losses, "evaluations": pictures.evaluations, "cmc": pictures.cmc, **pictures.open_set}
    files: dict[str, bytes] = {name: plot.light for name, plot in plots.items() if plot is not None}
    if pictures.sheet is not None and pictures.sheet.identities:
        files["contact_sheet"] = png(draw_sheet(pictures.sheet, photographs))
    for name, queries in pictures.ranked.items():
        title = ranked_caption(name, *run.modalities(name))
        files[_file_name(f"ranked_{name}", files)] = png(draw_ranked(list(queries), photographs, title=title))
    with replaced_folder(run.folder / "pictures") as folder:
        for name, content in files.items():
            (folder / f"{name}.png").write_bytes(content)


def _file_name(name: str, taken: Mapping[str, object]) -> str:
    """Turn a name into a unique file name of letters, digits, `_` and `-`.

    >>> _file_name("ranked_a/b", {}), _file_name("ranked_a", {"ranked_a": b""})
    ('ranked_a_b', 'ranked_a_2')
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    candidates = [plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)
