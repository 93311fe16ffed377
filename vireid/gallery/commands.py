"""The actions of `tools/gallery.py`, from what a command line says to what is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vireid.core.errors import UserError, nearest
from vireid.core.types import Modality
from vireid.data.datasets.csv import MODALITIES, seconds_of
from vireid.gallery import application
from vireid.gallery.answers import as_csv, checked_place, write
from vireid.gallery.filters import Filter
from vireid.gallery.listing import Known, images_of
from vireid.gallery.model import TrainedModel

Settings = Sequence[Sequence[str]]


def build(
    gallery: Path,
    config_file: str,
    images: Path,
    modality: str | None,
    camera: int,
    set: Settings,
    skip_bad: bool,
    index: Sequence[str],
) -> str:
    """Make a gallery or go on with one; what was done, in words."""
    node = application.index_node(index[0], index[1:])
    samples = images_of(images, Known(modality, camera))
    return str(application.build(gallery, _model(config_file, set), samples, node, skip=skip_bad))


def add(
    gallery: Path, config_file: str, images: Path, modality: str | None, camera: int, set: Settings, skip_bad: bool
) -> str:
    """Add images to a gallery; what was done, in words."""
    samples = images_of(images, Known(modality, camera))
    return str(application.add(gallery, _model(config_file, set), samples, skip=skip_bad))


def search(
    gallery: Path,
    config_file: str,
    images: Path,
    modality: str | None,
    set: Settings,
    top: int,
    camera: Sequence[int],
    modality_of_answers: str | None,
    after: str | None,
    before: str | None,
    out: Sequence[Path],
) -> str:
    """Without `out` the answers are printed as CSV."""
    for path in out:
        checked_place(path)
    only = Filter(tuple(camera), _modality(modality_of_answers), seconds_of(after or ""), seconds_of(before or ""))
    queries = images_of(images, Known(modality))
    answers = application.search(gallery, _model(config_file, set), queries, k=top, only=only)
    for path in out:
        write(path, answers)
    return "\n".join(map(str, out)) if out else as_csv(answers).rstrip("\n")


def info(gallery: Path) -> str:
    """What a gallery holds, in lines."""
    return application.info(gallery)


ACTIONS: Mapping[str, Callable[..., str]] = {"build": build, "add": add, "search": search, "info": info}


def _model(config_file: str, settings: Settings) -> TrainedModel:
    return TrainedModel.of(config_file, [word for pair in settings for word in pair])


def _modality(word: str | None) -> Modality | None:
    if word is None:
        return None
    if word.lower() not in MODALITIES:
        raise UserError(f"modality {word!r} is unknown{nearest(word, MODALITIES)} (known: {', '.join(MODALITIES)})")
    return Modality[MODALITIES[word.lower()].upper()]
