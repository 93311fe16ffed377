"""Gallery on disk: shards of embeddings and columns, and an index that is derived from them."""

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
from vireid.core.interfaces import GalleryIndex, TrainedIndex
from vireid.core.io import digest, replaced_file, sweep, write_json
from vireid.core.locks import file_lock
from vireid.gallery.columns import UNKNOWN
from vireid.retrieval.index.faiss_base import GROWTH
from vireid.retrieval.index.vectors import unit_rows
from vireid.retrieval.ranking import Ranking

FORMAT = 2  # of new galleries; format 1 has no FILE_COLUMNS, and its paths are not resolved
READ = (1, FORMAT)
COLUMNS = {"path": np.str_, "identity": np.int64, "camera": np.int64, "modality": np.int64, "time": np.float64}
FILE_COLUMNS = {"size": np.int64, "mtime_ns": np.int64, "ctime_ns": np.int64, "digest": np.bytes_}
UNRECORDED: Mapping[str, Any] = {"size": UNKNOWN, "mtime_ns": UNKNOWN, "ctime_ns": UNKNOWN, "digest": b""}
KINDS = {**COLUMNS, **FILE_COLUMNS}


@dataclass(frozen=True)
class Header:
    """Content of `gallery.json`: the model of the embeddings and the index.

    Attributes:
        fingerprint: Digest of the weights and the preprocessing of the model.
        model: Description of the model.
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
class Shard:
    """A committed piece of a gallery.

    Attributes:
        embeddings: L2-normalized embeddings (N, D).
        columns: Columns (N,): those of `COLUMNS`, and those of `FILE_COLUMNS` if they are recorded. An unknown time is
            NaN.
    """

    embeddings: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.embeddings)


class GalleryStore:
    """A folder with `gallery.json`, shards `portions/000000.npz`, ... and `index.bin`, which is derived from them.

    Shards are written atomically: images are stored durably when `append` returns. An object reads the shards that
    existed when it was created, and those that it appended; `open_index` lists them again.

    Args:
        folder: Folder of the gallery.

    Raises:
        UserError: If the folder is not a gallery, or has a format of a later version.
        DataError: If `gallery.json` is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = self._read_header()
        self._files = self._listed()

    @classmethod
    def create(cls, folder: Path, header: Header) -> GalleryStore:
        """Create a gallery; an existing one is continued if it has the same model and index.

        Raises:
            UserError: If the model or the index differs.
        """
        if not (folder / "gallery.json").exists():
            (folder / "portions").mkdir(parents=True, exist_ok=True)
            write_json(folder / "gallery.json", asdict(header))
        store = cls(folder)
        if not store._files and (store.header.fingerprint, store.header.index) != (header.fingerprint, header.index):
            write_json(folder / "gallery.json", asdict(header))  # no image was embedded by the previous model
            store.header = header
        store.require(header.fingerprint)
        if store.header.index != header.index:
            raise UserError(
                f"{folder} is searched by {store.header.index}, not by {header.index}: choose another folder, or remove"
                " --index to continue this one"
            )
        return store

    @staticmethod
    @contextmanager
    def writing(folder: Path) -> Iterator[None]:
        """Lock the gallery for additions, and remove temporary files of an interrupted process.

        Raises:
            UserError: If another process holds the lock, or the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
        busy = f"{folder}: another process adds images to this gallery; wait until it ends"
        with file_lock(folder / "gallery.lock", wait=False, busy=busy) as writable:
            if not writable:
                raise UserError(f"{folder}: cannot be written: no permission")
            with file_lock(folder / "index.lock", wait=True):
                sweep(folder)
                sweep(folder / "portions")
            yield

    def require(self, fingerprint: str) -> None:
        """Raise UserError unless the embeddings are of the model with this fingerprint."""
        if fingerprint != self.header.fingerprint:
            raise UserError(
                f"{self.folder} was made by another model ({self.header.model}, fingerprint"
                f" {self.header.fingerprint[:12]}, this one is {fingerprint[:12]}): their embeddings cannot be compared"
            )

    def append(self, shard: Shard) -> None:
        """Store these images durably."""
        assert set(COLUMNS) <= set(shard.columns) <= set(KINDS)
        width = self._read(self._files[0]).embeddings.shape[1] if self._files else None
        embeddings = unit_rows(shard.embeddings, width=width, what="embeddings")
        number = int(self._files[-1].stem) + 1 if self._files else 0
        columns = {name: np.full(len(shard), value) for name, value in UNRECORDED.items()} | dict(shard.columns)
        if self.header.format != FORMAT:  # in format 1 a later row does not replace an earlier one
            self.header = Header(**{**asdict(self.header), "format": FORMAT})
            write_json(self.folder / "gallery.json", asdict(self.header))
        file = self.folder / "portions" / f"{number:06d}.npz"
        with replaced_file(file) as out:
            stored = {name: np.asarray(columns[name], kind) for name, kind in KINDS.items()}
            np.savez(out, vectors=embeddings, **stored)  # type: ignore[arg-type]
        self._files = [*self._files, file]

    def shards(self) -> Iterator[Shard]:
        """Read all shards in the order of their addition."""
        return map(self._read, self._files)

    def columns(self) -> dict[str, np.ndarray]:
        """Read the columns of all shards; `UNRECORDED` if an earlier version did not record them."""
        parts = [self._read(file, with_embeddings=False).columns for file in self._files]
        return {
            name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0, kind)
            for name, kind in KINDS.items()
        }

    def training(self) -> Mapping[str, Any]:
        """Read the note of the index file: `rows`, `trained_on` and `limit` (rows up to which it is valid)."""
        try:
            note = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            return note if isinstance(note, dict) and (self.folder / "index.bin").exists() else {}
        except (OSError, ValueError):
            return {}

    def open_index(self, index: GalleryIndex) -> GalleryIndex:
        """Fill an empty index with all embeddings of the gallery, from the index file as far as it is usable.

        A trained index that the gallery has outgrown is trained and filled again from the stored embeddings.

        Raises:
            UserError: If the gallery is empty.
            DataError: If the index file is damaged or does not belong to the shards.
        """
        with file_lock(self.folder / "index.lock", wait=True) as writable:
            self._files = self._listed()
            file, note = self.folder / "index.bin", self.folder / "index.json"
            trained = index if isinstance(index, TrainedIndex) else None
            if trained is not None:
                trained.growth = self.header.growth
            complete = file.exists() and note.exists()  # without the note the writing was interrupted
            if complete:
                self._check_index(file, note)
                index.load(file)
            total = len(self.columns()["path"])
            if len(index) > total:
                raise DataError(
                    f"{self.folder}: the index has {len(index)} embeddings and the gallery {total}; remove {file}"
                )
            if total == 0:
                raise UserError(f"{self.folder}: the gallery is empty: add images before searching")
            outgrown = trained is not None and len(index) > 0 and trained.outgrown(total)
            if trained is not None and outgrown:
                trained.clear()
            changed = self._fill(index)
            if writable and (changed or outgrown or not complete):
                note.unlink(missing_ok=True)
                index.save(file)
                training = {} if trained is None else {"trained_on": trained.trained_on, "limit": trained.limit}
                shards = {shard.name: self._checksum(shard) for shard in self._files}
                write_json(note, {"rows": total, "portions": shards, "sha256": digest(file), **training})
        return index

    def ranking(self, index: GalleryIndex, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> Ranking:
        """Search the k nearest rows of the gallery for each query (Q, D)."""
        scores, ids = index.search(queries, k, allowed)
        return Ranking(ids, scores)

    def _fill(self, index: GalleryIndex) -> bool:
        """Add the embeddings that the index does not hold; return whether there were any."""
        held, total = len(index), 0
        for shard in self.shards():
            new = shard.embeddings[max(0, held - total) :]
            total += len(shard)
            if len(new):
                index.add(new)
        return total > held

    def _listed(self) -> Sequence[Path]:
        return sorted((self.folder / "portions").glob("[0-9]*.npz"))

    def _read(self, file: Path, *, with_embeddings: bool = True) -> Shard:
        try:
            with np.load(file, allow_pickle=False) as stored:  # each member has a checksum
                columns = {name: stored[name] for name in COLUMNS}
                number = len(columns["path"])
                columns |= {
                    name: stored[name] if name in stored else np.full(number, UNRECORDED[name]) for name in FILE_COLUMNS
                }
                return Shard(stored["vectors"] if with_embeddings else np.empty((number, 0), np.float32), columns)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise self._damaged(file, error) from error

    @staticmethod
    def _damaged(file: Path, error: Exception) -> DataError:
        return DataError(f"{file} is damaged ({error}): move it away, then `gallery.py add` embeds its images again")

    def _read_header(self) -> Header:
        file = self.folder / "gallery.json"
        if not file.is_file():
            raise UserError(
                f"{self.folder} is not a gallery: {file.name} does not exist in it (gallery.py build creates it)"
            )
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
        advice = "remove it, and the next search builds it again from the embeddings"
        try:
            stored = json.loads(note.read_text(encoding="utf-8"))
            expected, shards = stored["sha256"], stored["portions"]
            if not isinstance(shards, dict):  # a list of names, as earlier versions wrote it
                shards = dict.fromkeys(shards)
        except (OSError, ValueError, KeyError, TypeError):
            expected, shards = "nothing", {}
        if digest(file) != expected:
            raise DataError(f"{file} is damaged: {advice}")
        if list(shards) != [shard.name for shard in self._files][: len(shards)]:
            raise DataError(f"{file} was built from shards that do not exist any more: {advice}")
        for shard, checksum in zip(self._files, shards.values()):
            if checksum is not None and checksum != self._checksum(shard):
                raise DataError(
                    f"{file} was made from other embeddings than those of {shard.name} (it is of another gallery, or"
                    f" the shard was replaced): {advice}"
                )

    def _checksum(self, shard: Path) -> int:
        """Return the CRC-32 of the embeddings of a shard from the directory of its archive; no data is read."""
        try:
            with zipfile.ZipFile(shard) as archive:
                return archive.getinfo("vectors.npy").CRC
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise self._damaged(shard, error) from error
