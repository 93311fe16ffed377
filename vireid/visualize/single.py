"""One picture of a run in three forms: PNG, PDF, and a page that opens offline."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vireid.core.errors import UserError, nearest
from vireid.core.io import replaced_file, write_text
from vireid.runs.reading import Run, read_run
from vireid.visualize import curves, markup, scatter
from vireid.visualize.drawing import LIGHT, Form
from vireid.visualize.ranked import draw_ranked, ranked_queries
from vireid.visualize.tiles import Photographs, png, png_uri


@dataclass(frozen=True)
class Single:
    """A picture: its bytes in each form, and what is said below it."""

    name: str
    png: bytes
    pdf: bytes
    caption: str


def write_single(picture: Single, folder: Path) -> list[Path]:
    """`NAME.png`, `NAME.pdf` and `NAME.html` in a folder, each whole or not there."""
    paths = [folder / f"{picture.name}.{form}" for form in ("png", "pdf", "html")]
    for path, content in zip(paths, (picture.png, picture.pdf)):
        with replaced_file(path) as file:
            file.write(content)
    image = markup.figure(markup.picture(png_uri(picture.png), picture.caption), markup.paragraph(picture.caption))
    section = markup.section("picture", picture.name, f'<div class="plots wide">{image}</div>')
    body = f"<main>{section}</main>"
    write_text(paths[2], markup.document(f"{picture.name}: vireid", body))
    return paths


def of_image(name: str, image: Image.Image, caption: str) -> Single:
    """From a picture made of pixels."""
    buffer = io.BytesIO()
    image.save(buffer, "PDF", resolution=150)
    return Single(name, png(image), buffer.getvalue(), caption)


def of_plot(name: str, draw: Callable[[Form], bytes], caption: str) -> Single:
    """From a plot, whose PDF is made of lines."""
    return Single(name, draw("png"), draw("pdf"), caption)


# -- the kinds that need nothing but a run's saved results ------------------------------------------------------------


def curves_of(run: Path) -> list[Single]:
    """Loss terms and the learning rate over the epochs."""
    read = read_run(run)
    if not read.epochs.epoch:
        raise UserError(f"{run}: log.jsonl holds no finished epoch, so there are no curves")
    return [of_plot("curves", lambda form: curves.loss_curves(read.epochs, LIGHT, form), f"{read.name}: loss terms")]


def cmc_of(run: Path) -> list[Single]:
    """CMC curve of each protocol."""
    read = read_run(run)
    if not read.results:
        raise UserError("\n".join(read.notes))
    return [of_plot("cmc", lambda form: curves.cmc_curves(read.results, LIGHT, form), f"{read.name}: CMC")]


def tsne_of(run: Path, *, people: int = 20, seed: int = 0) -> list[Single]:
    """A map of test people, a colour for each person and a mark for each modality."""
    found, title = scatter.read_descriptors(run), run.resolve().name

    def draw(form: Form) -> bytes:
        return scatter.tsne_map(found, people=people, seed=seed, title=title, form=form)

    return [of_plot("tsne", draw, f"{title}: t-SNE of the descriptors of {people} test people")]


def distances_of(run: Path, *, seed: int = 0) -> list[Single]:
    """Histograms of distances within and between people and modalities."""
    found, title = scatter.read_descriptors(run), run.resolve().name

    def draw(form: Form) -> bytes:
        return scatter.distance_histograms(found, seed=seed, title=title, form=form)

    return [of_plot("distances", draw, f"{title}: cosine distances of test images")]


def ranklist_of(run: Path, *, queries: int = 8, protocols: Sequence[str] = ()) -> list[Single]:
    """Queries and their first answers, right and wrong ones framed, with scores; one picture for each protocol."""
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
    asking, answering = run.modalities(name)
    caption = f"{name}: {asking} asks, {answering} answers. Tick: right person, cross: another person."
    photographs = Photographs()
    picture = draw_ranked(list(ranked_queries(lists, queries)), photographs, title=caption)
    if photographs.unreadable:
        caption += f" {len(photographs.unreadable)} images could not be read and are grey."
    return of_image(f"ranklist_{name}", picture, caption)
