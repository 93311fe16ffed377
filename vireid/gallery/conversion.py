"""Conversion of a gallery of the earlier format (shards of NumPy arrays) to an archive."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import UserError
from vireid.core.io import TEMPORARY, remove_folder
from vireid.gallery.archive import GalleryArchive
from vireid.gallery.columns import ArchiveRows
from vireid.gallery.images import latest_rows, real_paths
from vireid.gallery.lance_files import arrow_table
from vireid.gallery.store import GalleryStore


@dataclass(frozen=True)
class Converted:
    """Result of a conversion.

    Attributes:
        archive: The archive.
        images: Number of images.
        superseded: Embeddings that were left out, because the gallery has a later one of the same file.
    """

    archive: GalleryArchive
    images: int
    superseded: int


def convert_gallery(gallery: Path, folder: Path) -> Converted:
    """Convert a gallery to an archive, which must not exist; the gallery is not changed.

    Paths are resolved, as searches of the gallery do. Settings of the index are not converted: an index is derived
    from the embeddings. `added_at` is the time of the conversion, since the earlier format has none. The folder is
    renamed to its name when it is complete.

    Raises:
        UserError: If the gallery is empty, or the folder exists or cannot be written.
        DataError: If a file of the gallery is damaged.
    """
    gallery, folder = Path(gallery), Path(folder)
    if folder.exists():
        raise UserError(f"{folder} exists already; give a new folder for the archive")
    store = GalleryStore(gallery)
    first = next(store.shards(), None)
    if first is None:
        raise UserError(f"{gallery}: the gallery is empty; create an archive instead")
    width = first.embeddings.shape[1]
    paths = np.array(real_paths(store.columns()), object)
    latest = latest_rows(paths.tolist())
    aside = folder.with_name(f"{TEMPORARY}{folder.name}-{os.getpid()}")
    try:
        archive = GalleryArchive.create(
            aside, fingerprint=store.header.fingerprint, width=width, model=store.header.model
        )
        archive.load(_tables(store, archive, paths, latest))
        archive.compact(keep_days=0)
        os.rename(aside, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        if aside.exists():
            remove_folder(aside)
    return Converted(GalleryArchive(folder), int(latest.sum()), int((~latest).sum()))


def _tables(store: GalleryStore, archive: GalleryArchive, paths: np.ndarray, latest: np.ndarray) -> Iterator[Any]:
    now, start = time.time(), 0
    for shard in store.shards():
        place = slice(start, start + len(shard))
        start += len(shard)
        keep = latest[place]
        columns = {name: values[keep] for name, values in shard.columns.items()} | {"path": paths[place][keep]}
        rows = ArchiveRows(shard.embeddings[keep], columns)
        yield arrow_table(rows, archive.header, added_at=now)[0]
