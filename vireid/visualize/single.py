"""Write single pictures of a run as PNG, as PDF and as an HTML page that opens offline."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vireid.core.errors import UserError, nearest
from vireid.core.io import replaced_file, write_text
from vireid.runs.reading import Run, read_run
from vireid.runs.results import read_embeddings
from vireid.visualize import curves, open_set_curves, scatter
from vireid.visualize.drawing import LIGHT, Form
from vireid.visualize.open_set import open_set_reports
from vireid.visualize.ranked import draw_ranked, ranked_caption, ranked_queries
from vireid.visualize.rendering import PageImage, render_page
from vireid.visualize.tiles import Photographs, png, png_uri


@dataclass(frozen=True)
class Single:
    """A picture as the bytes of a PNG and of a PDF file, with its caption."""

    name: str
    png: bytes
    pdf: bytes
    caption: str


@dataclass(frozen=True)
class PicturePage:
    """Content of the template `picture.html.j2`."""

    name: str
    image: PageImage


def write_single(picture: Single, folder: Path) -> list[Path]:
    """Write `NAME.png`, `NAME.pdf` and `NAME.html` into a folder; each file is written atomically."""
    paths = [folder / f"{picture.name}.{form}" for form in ("png", "pdf", "html")]
    for path, content in zip(paths, (picture.png, picture.pdf)):
        with replaced_file(path) as file:
            file.write(content)
    page = PicturePage(picture.name, PageImage(png_uri(picture.png), picture.caption))
    write_text(paths[2], render_page("picture.html.j2", page))
    return paths


def of_image(name: str, image: Image.Image, caption: str) -> Single:
    """Create the PNG and PDF files of a bitmap."""
    buffer = io.BytesIO()
    image.save(buffer, "PDF", resolution=150)
    return Single(name, png(image), buffer.getvalue(), caption)


def of_plot(name: str, draw: Callable[[Form], bytes], caption: str) -> Single:
    """Create the PNG file and the vector PDF file of a plot."""
    return Single(name, draw("png"), draw("pdf"), caption)


# -- pictures from the saved results of a run -------------------------------------------------------------------------


def curves_of(run: Path) -> list[Single]:
    """Draw the loss terms and the learning rate over the epochs."""
    read = read_run(run)
    if not read.epochs.epoch:
        raise UserError(
            f"{run}: log.jsonl holds no finished epoch, so curves cannot be drawn; train at least one epoch"
        )
    return [of_plot("curves", lambda form: curves.loss_curves(read.epochs, LIGHT, form), f"{read.name}: loss terms")]


def cmc_of(run: Path) -> list[Single]:
    """Draw the CMC curve of each protocol."""
    read = read_run(run)
    if not read.results:
        raise UserError("\n".join(read.notes))
    return [of_plot("cmc", lambda form: curves.cmc_curves(read.results, LIGHT, form), f"{read.name}: CMC")]


def open_set_of(run: Path) -> list[Single]:
    """Draw ROC and DET curves, and the reliability of the calibration if there is one."""
    read = read_run(run)
    reports = open_set_reports(read)
    if not reports:
        hint = "evaluate it with EVALUATION.ENTRY.OPEN_SET (docs/open_set.md)"
        raise UserError("\n".join(read.notes) if not read.results else f"{run}: has no open-set results; {hint}")
    draws = {"roc": open_set_curves.roc_curves, "det": open_set_curves.det_curves}
    if any(report.calibration is not None for report in reports.values()):
        draws["reliability"] = open_set_curves.reliability_curves
    return [
        of_plot(name, lambda form, draw=draw: draw(reports, LIGHT, form), f"{read.name}: {name}")
        for name, draw in draws.items()
    ]


def tsne_of(run: Path, *, people: int = 20, seed: int = 0) -> list[Single]:
    """Draw a t-SNE map of test images: one color for each identity, one marker for each modality."""
    table, title = read_embeddings(run), run.resolve().name

    def draw(form: Form) -> bytes:
        return scatter.tsne_map(table, people=people, seed=seed, title=title, form=form)

    return [of_plot("tsne", draw, f"{title}: t-SNE of the embeddings of {people} test identities")]


def distances_of(run: Path, *, seed: int = 0) -> list[Single]:
    """Draw histograms of the cosine distances within and between identities and modalities."""
    table, title = read_embeddings(run), run.resolve().name

    def draw(form: Form) -> bytes:
        return scatter.distance_histograms(table, seed=seed, title=title, form=form)

    return [of_plot("distances", draw, f"{title}: cosine distances of test images")]


def ranklist_of(run: Path, *, queries: int = 8, protocols: Sequence[str] = ()) -> list[Single]:
    """Draw ranked lists with framed matches and scores; one picture for each protocol."""
    read = read_run(run)
    lists = {each.name: each for each in read.lists}
    if not lists:
        raise UserError("\n".join(read.notes))
    for name in protocols:
        if name not in lists:
            raise UserError(f"--protocol {name}: the run has {', '.join(lists)}{nearest(name, lists)}")
    return [_ranklist(read, name, queries) for name in protocols or lists]


def _ranklist(run: Run, name: str, queries: int) -> Single:
    lists = next(each for each in run.lists if each.name == name)
    caption = ranked_caption(name, *run.modalities(name))
    photographs = Photographs()
    picture = draw_ranked(list(ranked_queries(lists, queries)), photographs, title=caption)
    if photographs.unreadable:
        caption += f" {len(photographs.unreadable)} images could not be read and are gray."
    return of_image(f"ranklist_{name}", picture, caption)
