"""What `tools/gallery.py` does: build, add, search, info."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vireid.config.values import Mismatch, convert, hints_of
from vireid.core.errors import DataError, UserError, nearest
from vireid.core.protocols import GalleryIndex
from vireid.core.registries import INDEXES
from vireid.core.types import Sample
from vireid.data.reading import progress, read_pixels
from vireid.gallery.answers import Answers, gathered
from vireid.gallery.filters import Filter
from vireid.gallery.listing import absent
from vireid.gallery.model import TrainedModel
from vireid.retrieval.store import GalleryStore, Header, Portion

PORTION = 512  # images that are read, embedded and kept at a time
SHOWN = 20  # bad images that an error names
FOLDER = "{folder}"  # in an argument of an index: the gallery's folder


@dataclass
class Built:
    """What a build or an addition did."""

    added: int = 0
    already: int = 0
    seconds: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)  # path -> what is wrong

    def __str__(self) -> str:
        rate = self.added / self.seconds if self.seconds else 0.0
        lines = [f"{self.added} images added, {self.already} were there ({rate:.1f} images/s)"]
        lines += [f"skipped: {path}: {fault}" for path, fault in self.bad.items()]
        return "\n".join(lines)


def index_node(name: str, arguments: Iterable[str]) -> dict[str, Any]:
    """{"NAME": ..., "PROBES": 16} from words such as PROBES=16; UserError with the nearest right thing."""
    if name not in INDEXES:
        raise UserError(INDEXES.unknown(name))
    entry = INDEXES.get(name)
    known, node = hints_of(entry.target), {"NAME": name}
    for word in arguments:
        key, equals, value = word.partition("=")
        accepted = [parameter.upper() for parameter in entry.parameters()]
        if not equals or key not in accepted:
            raise UserError(f"{word!r} is no argument of {name}{nearest(key, accepted)} (takes: {', '.join(accepted)})")
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
    """The index of a gallery's header, without vectors."""
    if node.get("NAME") not in INDEXES:
        raise UserError(INDEXES.unknown(str(node.get("NAME"))))
    values = {key: v.replace(FOLDER, str(folder)) if isinstance(v, str) else v for key, v in node.items()}
    return INDEXES.get(values.pop("NAME")).target(**{key.lower(): value for key, value in values.items()})


def build(
    folder: Path, model: TrainedModel, samples: Sequence[Sample], node: Mapping[str, Any], *, skip: bool
) -> Built:
    """Make a gallery, or go on with one that was interrupted, and its index.

    `skip`: images that cannot be read are left out and reported; otherwise they are an error, all of them together,
    after the others were kept.
    """
    new_index(node, folder)  # arguments that cannot be are said before the work
    store = GalleryStore.create(folder, Header(model.fingerprint(), model.words, dict(node)))
    return _filled(store, model, samples, skip=skip)


def add(folder: Path, model: TrainedModel, samples: Sequence[Sample], *, skip: bool) -> Built:
    """More images for a gallery that is there; those it has are passed over."""
    store = GalleryStore(folder)
    store.require(model.fingerprint())
    return _filled(store, model, samples, skip=skip)


def _filled(store: GalleryStore, model: TrainedModel, samples: Sequence[Sample], *, skip: bool) -> Built:
    start, new = time.monotonic(), absent(samples, set(store.columns()["path"].tolist()))
    done = Built(already=len(samples) - len(new))
    with progress(len(new), "embedding images") as tell:
        for portion, images in _read(new, model, done.bad):
            if portion:
                store.append(_portion(portion, model.describe(portion, images)))
                done.added += len(portion)
            tell(len(portion))
    done.seconds = time.monotonic() - start
    if done.bad and not skip:
        lines = [f"  - {path}: {fault}" for path, fault in list(done.bad.items())[:SHOWN]]
        head = f"{len(done.bad)} images cannot be used; the others ({done.added}) are kept. --skip-bad leaves them out:"
        raise DataError("\n".join([head, *lines]))
    store.open_index(new_index(store.header.index, store.folder))
    return done


def _read(
    samples: Sequence[Sample], model: TrainedModel, bad: dict[str, str]
) -> Iterator[tuple[list[Sample], np.ndarray]]:
    """Portions of images that could be read; the others go to `bad`."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(samples), PORTION):
            part = samples[start : start + PORTION]
            found = list(pool.map(lambda sample: read_pixels(str(sample.path), model.size, model.depth), part))
            bad.update((str(s.path), fault) for s, (pixels, fault) in zip(part, found) if pixels is None)
            good = [(sample, pixels) for sample, (pixels, _) in zip(part, found) if pixels is not None]
            images = np.stack([pixels for _, pixels in good]) if good else np.empty((0, *model.size, 3), np.uint8)
            yield [sample for sample, _ in good], images


def _portion(samples: Sequence[Sample], vectors: np.ndarray) -> Portion:
    columns = {
        "path": [str(sample.path) for sample in samples],
        "identity": [sample.identity for sample in samples],
        "camera": [sample.camera for sample in samples],
        "modality": [int(sample.modality) for sample in samples],
        "time": [np.nan if sample.time is None else sample.time for sample in samples],
    }
    return Portion(vectors, {name: np.array(values) for name, values in columns.items()})


def search(
    folder: Path, model: TrainedModel, queries: Sequence[Sample], *, k: int = 20, only: Filter | None = None
) -> Answers:
    """The k best images for each query. An image that cannot be read is an error: nobody would see it missing."""
    store = GalleryStore(folder)
    store.require(model.fingerprint())
    columns = store.columns()
    if not len(columns["path"]):
        raise UserError(f"{folder}: the gallery is empty: add images before searching")
    allowed = (only or Filter()).allowed(columns)
    bad: dict[str, str] = {}
    vectors = [model.describe(part, images) for part, images in _read(queries, model, bad) if part]
    if bad:
        raise DataError("\n  - ".join(["queries that cannot be used:", *(f"{p}: {f}" for p, f in bad.items())]))
    index = store.open_index(new_index(store.header.index, folder))
    ranking = store.ranking(index, np.concatenate(vectors), k, allowed)
    conditions = {
        "gallery": f"{folder} ({len(columns['path'])} images)",
        "model": store.header.model,
        "search": index.says + ("" if index.exact else " (approximate: answers may be missing)"),
    }
    return gathered(queries, ranking, columns, conditions)


def info(folder: Path) -> str:
    """What a gallery holds, in lines."""
    store = GalleryStore(folder)
    columns, header = store.columns(), store.header
    lines = [f"gallery     {folder}", f"model       {header.model}", f"fingerprint {header.fingerprint[:12]}"]
    node = dict(header.index)
    lines.append(f"index       {node.pop('NAME')} {' '.join(f'{k}={v}' for k, v in node.items())}".rstrip())
    lines.append(f"images      {len(columns['path'])}")
    for name in ("identity", "camera", "modality"):
        lines.append(f"{name:12}{len(np.unique(columns[name][columns[name] >= 0]))} different")
    known = columns["time"][np.isfinite(columns["time"])]
    lines.append(f"time        {f'{known.min():g} to {known.max():g}' if len(known) else 'not known'}")
    return "\n".join(lines)
