"""Commands of the gallery tool: convert command line arguments, run the action and format its output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.paths import normalized_path
from vireid.data.datasets.csv_text import seconds_of
from vireid.gallery import application
from vireid.gallery.answers import as_csv, checked_place, write
from vireid.gallery.filters import Filter
from vireid.gallery.listing import Known, Listing, listed_images, modality_of, whole_number
from vireid.gallery.model import TrainedModel
from vireid.gallery.plan import Built
from vireid.gallery.store import UNKNOWN

Settings = Sequence[Sequence[str]]


def build(
    gallery: Path,
    config_file: str,
    images: Path,
    modality: str | None,
    camera: str | None,
    set: Settings,
    skip_bad: bool,
    refresh: bool,
    index: Sequence[str],
) -> str:
    """Build a gallery or continue one; return the report."""
    node = application.index_node(index[0], index[1:])
    listing = _listing(images, modality, camera)
    model = _model(config_file, set)
    done = application.build(normalized_path(gallery), model, listing.samples, node, skip=skip_bad, refresh=refresh)
    return _report(done, listing)


def add(
    gallery: Path,
    config_file: str,
    images: Path,
    modality: str | None,
    camera: str | None,
    set: Settings,
    skip_bad: bool,
    refresh: bool,
) -> str:
    """Add images to a gallery; return the report."""
    listing = _listing(images, modality, camera)
    model = _model(config_file, set)
    done = application.add(normalized_path(gallery), model, listing.samples, skip=skip_bad, refresh=refresh)
    return _report(done, listing)


def search(
    gallery: Path,
    config_file: str,
    images: Path,
    modality: str | None,
    set: Settings,
    top: int,
    camera: Sequence[str],
    gallery_modality: str | None,
    after: str | None,
    before: str | None,
    fpir: float | None,
    out: Sequence[Path],
) -> str:
    """Search a gallery; without `out` the ranked lists are returned as CSV.

    Files that were left out are reported on standard error and in the conditions.
    """
    places = [normalized_path(checked_place(path)) for path in out]
    if top < 1:
        raise UserError(f"k must be at least 1, got {top} (--top)")
    cameras = tuple(whole_number("camera", word) for word in camera)
    kind = modality_of(gallery_modality) if gallery_modality else None
    only = Filter(cameras, kind, seconds_of(after or ""), seconds_of(before or ""))
    listing = _listing(images, modality, None)
    model = _model(config_file, set)
    answers = application.search(normalized_path(gallery), model, listing.samples, k=top, only=only, fpir=fpir)
    conditions = answers["conditions"]
    if left_out := listing.left_out.lines():
        conditions["queries"] = "; ".join(left_out)
    for name in ("queries", "time", "outdated", "threshold"):
        if name in conditions:
            print(f"{name}: {conditions[name]}", file=sys.stderr)
    for path in places:
        write(path, answers)
    return "\n".join(map(str, out)) if out else as_csv(answers).rstrip("\n")


def info(gallery: Path) -> str:
    """Summarize the content of a gallery in lines."""
    return application.info(normalized_path(gallery))


ACTIONS: Mapping[str, Callable[..., str]] = {"build": build, "add": add, "search": search, "info": info}


def _listing(images: Path, modality: str | None, camera: str | None) -> Listing:
    return listed_images(images, Known(modality, UNKNOWN if camera is None else whole_number("camera", camera)))


def _report(done: Built, listing: Listing) -> str:
    done.left_out.update(listing.left_out)
    return str(done)


def _model(config_file: str, settings: Settings) -> TrainedModel:
    file = str(normalized_path(config_file)) if config_file.startswith("~") else config_file
    return TrainedModel.of(file, [word for pair in settings for word in pair])
