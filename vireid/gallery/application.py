"""Actions of the gallery tool: build, add, search, info."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vireid.config.coerce import Mismatch, convert, hints_of
from vireid.core.errors import DataError, UserError, nearest
from vireid.core.interfaces import GalleryIndex, TrainedIndex
from vireid.core.paths import real_path
from vireid.core.progress import progress_bar
from vireid.core.registries import INDEXES
from vireid.core.types import Sample
from vireid.gallery.answers import Answers, gathered
from vireid.gallery.filters import Filter, span
from vireid.gallery.images import Stamp, changed, latest_rows, read_images, real_paths, vanished
from vireid.gallery.model import TrainedModel
from vireid.gallery.plan import Built, planned
from vireid.gallery.store import FORMAT, GalleryStore, Header, Shard
from vireid.gallery.verdict import verdict_of
from vireid.retrieval.ranking import NO_IMAGE, Ranking

SHARD_SIZE = 512  # images that are read, embedded and stored at a time
SHOWN = 20  # bad images that an error lists
FOLDER = "{folder}"  # placeholder in an argument of an index: the folder of the gallery


def index_node(name: str, arguments: Iterable[str]) -> dict[str, Any]:
    """Parse the arguments of an index, such as PROBES=16, to {"NAME": ..., "PROBES": 16}.

    Raises:
        UserError: For an unknown index or argument, with the nearest known name, and for a value of another type.
    """
    if name not in INDEXES:
        raise UserError(INDEXES.unknown(name))
    entry = INDEXES.get(name)
    known, node = hints_of(entry.target), {"NAME": name}
    for word in arguments:
        key, equals, value = word.partition("=")
        accepted = [parameter.upper() for parameter in entry.parameters()]
        if not equals or key not in accepted:
            raise UserError(
                f"{word!r} is not an argument of {name}{nearest(key, accepted)} (known: {', '.join(accepted)})"
            )
        try:
            node[key] = convert(_plain(value), known[key.lower()])
        except Mismatch as fault:
            raise UserError(f"{name}: {key} = {value!r} {fault}") from fault
    return node


def _plain(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(word.lower(), word)


def new_index(node: Mapping[str, Any], folder: Path) -> GalleryIndex:
    """Create the empty index that a gallery header names."""
    if node.get("NAME") not in INDEXES:
        raise UserError(INDEXES.unknown(str(node.get("NAME"))))
    values = {key: v.replace(FOLDER, str(folder)) if isinstance(v, str) else v for key, v in node.items()}
    return INDEXES.get(values.pop("NAME")).target(**{key.lower(): value for key, value in values.items()})


def build(
    folder: Path,
    model: TrainedModel,
    samples: Sequence[Sample],
    node: Mapping[str, Any],
    *,
    skip: bool,
    refresh: bool = False,
) -> Built:
    """Build a gallery, or continue one that was interrupted, and its index.

    Args:
        folder: Folder of the gallery.
        model: Model that embeds the images.
        samples: Images; each file is embedded once, even if it is listed by several paths.
        node: Name and arguments of the index.
        skip: Leave out and report images that cannot be read; otherwise they raise one DataError after the others were
            stored.
        refresh: Embed images again that changed since they were embedded, or whose values in the list changed.

    Raises:
        UserError: For an index that cannot be built, and for a gallery of another model or index.
        DataError: For images that cannot be read.
    """
    new_index(node, folder)  # raises for invalid arguments before any work
    with GalleryStore.writing(folder):
        store = GalleryStore.create(folder, Header(model.fingerprint(), model.words, dict(node)))
        return _filled(store, model, samples, skip=skip, refresh=refresh)


def add(folder: Path, model: TrainedModel, samples: Sequence[Sample], *, skip: bool, refresh: bool = False) -> Built:
    """Add images to an existing gallery; arguments as in `build`."""
    GalleryStore(folder).require(model.fingerprint())
    with GalleryStore.writing(folder):
        store = GalleryStore(folder)
        store.require(model.fingerprint())
        return _filled(store, model, samples, skip=skip, refresh=refresh)


def _filled(store: GalleryStore, model: TrainedModel, samples: Sequence[Sample], *, skip: bool, refresh: bool) -> Built:
    start = time.monotonic()
    samples = [replace(sample, path=real_path(sample.path)) for sample in samples]
    todo, done = planned(samples, store.columns(), refresh=refresh)
    again = {sample.path for sample in todo[len(todo) - done.outdated :]}
    with progress_bar(len(todo), "embedding images") as advance:
        for shard_samples, images, stamps in read_images(todo, model.size, done.bad, SHARD_SIZE, model.depth):
            if shard_samples:
                embeddings = model.embed(shard_samples, images)
                if not done.embedded:
                    _check_width(store, embeddings.shape[1])
                store.append(_shard(shard_samples, embeddings, stamps))
                done.refreshed += sum(sample.path in again for sample in shard_samples)
                done.added += sum(sample.path not in again for sample in shard_samples)
            advance(len(shard_samples))
    done.seconds = time.monotonic() - start
    if done.bad and not skip:
        lines = [f"  - {path}: {fault}" for path, fault in list(done.bad.items())[:SHOWN]]
        counts = f"{len(done.bad)} images cannot be used; the others ({done.embedded}) are kept"
        head = f"{counts}. --skip-bad leaves them out:"
        raise DataError("\n".join([head, *lines, *done.notices]))
    store.open_index(new_index(store.header.index, store.folder))
    return done


def _check_width(store: GalleryStore, width: int) -> None:
    index = new_index(store.header.index, store.folder)
    if isinstance(index, TrainedIndex):
        index.check_width(width)


def _shard(samples: Sequence[Sample], embeddings: np.ndarray, stamps: Sequence[Stamp]) -> Shard:
    columns = {
        "path": [str(sample.path) for sample in samples],
        "identity": [sample.identity for sample in samples],
        "camera": [sample.camera for sample in samples],
        "modality": [int(sample.modality) for sample in samples],
        "time": [np.nan if sample.time is None else sample.time for sample in samples],
        "size": [stamp.size for stamp in stamps],
        "mtime_ns": [stamp.mtime_ns for stamp in stamps],
        "ctime_ns": [stamp.ctime_ns for stamp in stamps],
        "digest": [stamp.digest.encode("ascii") for stamp in stamps],
    }
    return Shard(embeddings, {name: np.array(values) for name, values in columns.items()})


def search(
    folder: Path,
    model: TrainedModel,
    queries: Sequence[Sample],
    *,
    k: int = 20,
    only: Filter | None = None,
    fpir: float | None = None,
) -> Answers:
    """Search the k nearest gallery images for each query.

    Args:
        folder: Folder of the gallery.
        model: Model that embeds the queries; it must be the model of the gallery.
        queries: Query images.
        k: Number of images for each query.
        only: Conditions on the gallery images.
        fpir: Wanted false positive identification rate, of which the model has a threshold; None: the smallest, if the
            model has thresholds.

    Raises:
        UserError: For an empty gallery, k below 1, another model, or a rate without a threshold.
        DataError: For queries that cannot be read.
    """
    if k < 1:
        raise UserError(f"k must be at least 1, got {k}")
    verdict = verdict_of(model.decision, fpir)
    store, only = GalleryStore(folder), only or Filter()
    store.require(model.fingerprint())
    columns = store.columns()
    if not len(columns["path"]):
        raise UserError(f"{folder}: the gallery is empty: add images before searching")
    latest = latest_rows(real_paths(columns))
    allowed = only.allowed(columns, latest)
    bad: dict[str, str] = {}
    read = read_images(queries, model.size, bad, SHARD_SIZE, model.depth)
    embeddings = [model.embed(part, images) for part, images, _ in read if part]
    if bad:
        raise DataError("\n  - ".join(["queries that cannot be used:", *(f"{p}: {f}" for p, f in bad.items())]))
    index = store.open_index(new_index(store.header.index, folder))
    if len(index) != len(latest):  # images were added meanwhile
        columns = store.columns()
        latest = latest_rows(real_paths(columns))
        allowed = only.allowed(columns, latest)
    ranking = store.ranking(index, np.concatenate(embeddings), k, allowed)
    conditions = {
        "gallery": f"{folder} ({int(latest.sum())} images)",
        "model": store.header.model,
        "search": index.description + ("" if index.exact else " (approximate: images may be missing)"),
    }
    if unknown := only.without_time(columns, latest):
        conditions["time"] = f"{unknown} images without a time are left out"
    if outdated := _outdated(columns, ranking):
        conditions["outdated"] = (
            f"{outdated} of the images found changed or vanished since they were embedded: gallery.py add --refresh"
        )
    answers = gathered(queries, ranking, columns, conditions, verdict)
    if verdict is not None:
        answers["conditions"]["threshold"] = verdict.summary(answers["queries"])
    return answers


def _outdated(columns: Mapping[str, np.ndarray], ranking: Ranking) -> int:
    """Count the returned images whose content differs from what was embedded, or that do not exist.

    Only files with another size or time than recorded are read.
    """
    rows = np.unique(ranking.ids[ranking.ids != NO_IMAGE]).tolist()
    stamps = {Path(str(columns["path"][row])): Stamp.of_row(columns, row) for row in rows}
    known = {path: stamp for path, stamp in stamps.items() if stamp is not None}
    return len(changed(known)) + len(vanished(map(str, stamps)))


def info(folder: Path) -> str:
    """Summarize the content of a gallery in lines."""
    store = GalleryStore(folder)
    columns, header = store.columns(), store.header
    latest = latest_rows(real_paths(columns))
    node = dict(header.index)
    index = f"{node.pop('NAME')} {' '.join(f'{k}={v}' for k, v in node.items())}".rstrip()
    lines = [f"gallery     {folder}", f"model       {header.model}", f"fingerprint {header.fingerprint[:12]}"]
    lines += [f"format      {header.format}" + ("" if header.format == FORMAT else f" (add makes it {FORMAT})")]
    lines += [f"index       {index}", *_training(store, len(latest)), f"images      {int(latest.sum())}"]
    if superseded := int((~latest).sum()):
        lines.append(f"superseded  {superseded} embeddings of images that were embedded again or under another path")
    for name in ("identity", "camera", "modality"):
        values = columns[name][latest]
        lines.append(f"{name:12}{len(np.unique(values[values >= 0]))} different")
    known = columns["time"][latest & np.isfinite(columns["time"])]
    lines.append(f"time        {span(known) if len(known) else 'not known'}")
    return "\n".join([*lines, *_files(columns, np.flatnonzero(latest))])


def _training(store: GalleryStore, number: int) -> list[str]:
    """Format the line about a trained index: embeddings at its training, now and at the next training."""
    note = store.training()
    if note.get("limit") is None and "trained_on" in note:
        return []
    if "trained_on" not in note:
        return ["training    not recorded: the next search trains the index if its kind is trained"]
    trained_on, limit = note["trained_on"], note["limit"]
    how = f"on {trained_on} embeddings" if trained_on else "none yet, embeddings are searched exactly"
    return [f"training    {how}; {number} now; trained again above {limit} (growth {store.header.growth:g})"]


def _files(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> list[str]:
    """Format lines about files that changed since they were embedded."""
    paths, stamps = columns["path"][rows].tolist(), [Stamp.of_row(columns, row) for row in rows.tolist()]
    missing = set(vanished(paths))
    touched = sum(
        stamp is not None and path not in missing and stamp.touched(os.stat(path)) for path, stamp in zip(paths, stamps)
    )
    counts = [
        ("vanished", len(missing), "images no longer exist"),
        ("touched", touched, "images have another size or time than when they were embedded: `add --refresh` compares"),
        (
            "unrecorded",
            stamps.count(None),
            "images were embedded by an earlier version: `add --refresh` embeds them again",
        ),
    ]
    return [f"{name:12}{count} {text}" for name, count, text in counts if count]
