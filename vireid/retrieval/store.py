"""Gallery on disk: embeddings and columns of their images in portions; an index is derived from them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.files import digest, replaced_file, sweep, write_json
from vireid.core.locks import file_lock
from vireid.core.protocols import GalleryIndex, TrainedIndex
from vireid.retrieval.index.faiss_base import GROWTH
from vireid.retrieval.index.vectors import unit_rows
from vireid.retrieval.ranking import Ranking

FORMAT = 2  # of new galleries; format 1 has no FILE_COLUMNS and its paths are as their user wrote them
READ = (1, FORMAT)
UNKNOWN = -1  # identity, camera or modality that is not known
COLUMNS = {"path": np.str_, "identity": np.int64, "camera": np.int64, "modality": np.int64, "time": np.float64}
FILE_COLUMNS = {"size": np.int64, "mtime_ns": np.int64, "ctime_ns": np.int64, "digest": np.bytes_}
UNRECORDED: Mapping[str, Any] = {"size": UNKNOWN, "mtime_ns": UNKNOWN, "ctime_ns": UNKNOWN, "digest": b""}
KINDS = {**COLUMNS, **FILE_COLUMNS}


@dataclass(frozen=True)
class Header:
    """Content of `gallery.json`: the model of the embeddings and the index.

    Attributes:
        fingerprint: Digest of the model's weights and of the pre-processing.
        model: The model in words.
        index: Name and arguments of the index.
        format: Version of the folder's format.
        growth: A trained index is rebuilt from the stored embeddings when the gallery holds more than this times the
            images that it was trained on.
    """

    fingerprint: str
    model: str
    index: Mapping[str, Any]
    format: int = FORMAT
    growth: float = GROWTH


@dataclass(frozen=True)
class Portion:
    """Embeddings (N, D) and columns, (N,) each: those of `COLUMNS`, and of `FILE_COLUMNS` where they are recorded.

    `time` is NaN where it is not known.
    """

    vectors: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.vectors)


class GalleryStore:
    """A folder with `gallery.json`, `portions/000000.npz`, ... and `index.bin`, which can be made again from them.

    Portions are written atomically: what `append` returned from survives a kill. An object sees the portions that
    existed when it was made, and its own; `open_index` looks again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = self._read_header()
        self._files = self._listed()

    @classmethod
    def create(cls, folder: Path, header: Header) -> GalleryStore:
        """A new gallery; an existing one is continued if it has the same model and index."""
        if not (folder / "gallery.json").exists():
            (folder / "portions").mkdir(parents=True, exist_ok=True)
            write_json(folder / "gallery.json", asdict(header))
        store = cls(folder)
        if not store._files and (store.header.fingerprint, store.header.index) != (header.fingerprint, header.index):
            write_json(folder / "gallery.json", asdict(header))  # nothing was embedded for the other one
            store.header = header
        store.require(header.fingerprint)
        if store.header.index != header.index:
            raise UserError(
                f"{folder} is searched by {store.header.index}, not by {header.index}: name another folder, or remove"
                " --index to go on with this one"
            )
        return store

    @staticmethod
    @contextmanager
    def writing(folder: Path) -> Iterator[None]:
        """Hold the gallery for additions; UserError if another process does. Removes what an interrupted one left."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
        busy = f"{folder}: another process adds images to this gallery; wait until it has ended"
        with file_lock(folder / "gallery.lock", wait=False, busy=busy) as writable:
            if not writable:
                raise UserError(f"{folder}: cannot be written: no permission")
            with file_lock(folder / "index.lock", wait=True):
                sweep(folder)
                sweep(folder / "portions")
            yield

    def require(self, fingerprint: str) -> None:
        """Refuse another model than the one that made the embeddings."""
        if fingerprint != self.header.fingerprint:
            raise UserError(
                f"{self.folder} was made by another model ({self.header.model}, fingerprint"
                f" {self.header.fingerprint[:12]}, this one is {fingerprint[:12]}): their vectors cannot be compared"
            )

    def append(self, portion: Portion) -> None:
        """Keep these images; they are safe on return."""
        assert set(COLUMNS) <= set(portion.columns) <= set(KINDS)
        width = self._read(self._files[0]).vectors.shape[1] if self._files else None
        vectors = unit_rows(portion.vectors, width=width, what="vectors")
        number = int(self._files[-1].stem) + 1 if self._files else 0
        columns = {name: np.full(len(portion), value) for name, value in UNRECORDED.items()} | dict(portion.columns)
        if self.header.format != FORMAT:  # earlier versions do not know that a later row replaces an earlier one
            self.header = Header(**{**asdict(self.header), "format": FORMAT})
            write_json(self.folder / "gallery.json", asdict(self.header))
        file = self.folder / "portions" / f"{number:06d}.npz"
        with replaced_file(file) as out:
            stored = {name: np.asarray(columns[name], kind) for name, kind in KINDS.items()}
            np.savez(out, vectors=vectors, **stored)  # type: ignore[arg-type]
        self._files = [*self._files, file]

    def portions(self) -> Iterator[Portion]:
        """Everything that is stored, in the order of its addition."""
        return map(self._read, self._files)

    def columns(self) -> dict[str, np.ndarray]:
        """Everything but the embeddings; `UNRECORDED` where an earlier version did not record it."""
        parts = [self._read(file, vectors=False).columns for file in self._files]
        return {
            name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0, kind)
            for name, kind in KINDS.items()
        }

    def training(self) -> Mapping[str, Any]:
        """Of the index file: `rows`, `trained_on` and `limit` (rows up to which it is used); empty if there is none."""
        try:
            note = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            return note if isinstance(note, dict) and (self.folder / "index.bin").exists() else {}
        except (OSError, ValueError):
            return {}

    def open_index(self, index: GalleryIndex) -> GalleryIndex:
        """Fill the (new) index with every embedding of the gallery: from its file as far as that is usable.

        A trained index that the gallery has outgrown is trained and filled again from the stored embeddings.
        """
        with file_lock(self.folder / "index.lock", wait=True) as writable:
            self._files = self._listed()
            file, note = self.folder / "index.bin", self.folder / "index.json"
            trained = index if isinstance(index, TrainedIndex) else None
            if trained is not None:
                trained.growth = self.header.growth
            whole = file.exists() and note.exists()  # the file alone: whoever wrote it was stopped before the note
            if whole:
                self._check_index(file, note)
                index.load(file)
            total = len(self.columns()["path"])
            if len(index) > total:
                raise DataError(
                    f"{self.folder}: the index has {len(index)} vectors and the gallery {total}; remove {file}"
                )
            if total == 0:
                raise UserError(f"{self.folder}: the gallery is empty: add images before searching")
            again = trained is not None and len(index) > 0 and trained.outgrown(total)
            if trained is not None and again:
                trained.clear()
            changed = self._fill(index)
            if writable and (changed or again or not whole):
                note.unlink(missing_ok=True)
                index.save(file)
                training = {} if trained is None else {"trained_on": trained.trained_on, "limit": trained.limit}
                names = [portion.name for portion in self._files]
                write_json(note, {"rows": total, "portions": names, "sha256": digest(file), **training})
        return index

    def ranking(self, index: GalleryIndex, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> Ranking:
        """The k best rows of the gallery for each query (Q, D)."""
        scores, ids = index.search(queries, k, allowed)
        return Ranking(ids, scores)

    def _fill(self, index: GalleryIndex) -> bool:
        """Add the embeddings that the index does not hold; whether there were any."""
        held, total = len(index), 0
        for portion in self.portions():
            new = portion.vectors[max(0, held - total) :]
            total += len(portion)
            if len(new):
                index.add(new)
        return total > held

    def _listed(self) -> Sequence[Path]:
        return sorted((self.folder / "portions").glob("[0-9]*.npz"))

    def _read(self, file: Path, *, vectors: bool = True) -> Portion:
        try:
            with np.load(file, allow_pickle=False) as stored:  # each member has a check sum
                columns = {name: stored[name] for name in COLUMNS}
                number = len(columns["path"])
                columns |= {
                    name: stored[name] if name in stored else np.full(number, UNRECORDED[name]) for name in FILE_COLUMNS
                }
                return Portion(stored["vectors"] if vectors else np.empty((number, 0), np.float32), columns)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{file} is damaged ({error}): move it away, then `gallery.py add` embeds its images again"
            ) from error

    def _read_header(self) -> Header:
        file = self.folder / "gallery.json"
        if not file.is_file():
            raise UserError(f"{self.folder} is no gallery: there is no {file.name} in it (gallery.py build makes one)")
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            version = stored["format"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{file} is damaged ({error})") from error
        if version not in READ:
            raise UserError(
                f"{file} has the format {version}, this version reads {' and '.join(map(str, READ))}: update vireid"
            )
        try:
            header = Header(**stored)
        except TypeError as error:
            known = ", ".join(field.name for field in fields_of(Header))
            raise DataError(f"{file} is damaged ({error}; it holds {known})") from error
        if not isinstance(header.growth, (int, float)) or not header.growth >= 1:
            raise DataError(f"{file}: growth must be a number of at least 1, got {header.growth!r}")
        return header

    def _check_index(self, file: Path, note: Path) -> None:
        again = "remove it, and the next search makes it again from the vectors"
        try:
            stored = json.loads(note.read_text(encoding="utf-8"))
            expected, made_from = stored["sha256"], list(stored["portions"])
        except (OSError, ValueError, KeyError, TypeError):
            expected, made_from = "nothing", []
        if digest(file) != expected:
            raise DataError(f"{file} is damaged: {again}")
        if made_from != [portion.name for portion in self._files][: len(made_from)]:
            raise DataError(f"{file} was made from portions that are gone: {again}")
