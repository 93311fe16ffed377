"""A gallery on disk: vectors and what is known of their images, kept portion by portion; an index is made from them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.files import digest, replaced_file, sweep, write_json
from vireid.core.protocols import GalleryIndex
from vireid.retrieval.index.vectors import unit_rows
from vireid.retrieval.ranking import Ranking

FORMAT = 1
UNKNOWN = -1  # identity, camera or modality that nobody knows
COLUMNS = {"path": np.str_, "identity": np.int64, "camera": np.int64, "modality": np.int64, "time": np.float64}


@dataclass(frozen=True)
class Header:
    """What a gallery is: which model its vectors are of, and how it is searched."""

    fingerprint: str  # of the model's weights and of what is done to images before
    model: str  # in words
    index: Mapping[str, Any]  # name and arguments
    format: int = FORMAT


@dataclass(frozen=True)
class Portion:
    """Vectors (N, D) and the columns of `COLUMNS`, (N,) each; time is NaN where nobody knows it."""

    vectors: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.vectors)


class GalleryStore:
    """A folder: `gallery.json`, `portions/000000.npz`, ... and `index.bin`, which can always be made again.

    A portion is there as a whole or not at all: what `append` returned from survives a kill.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = self._read_header()
        sweep(folder)
        sweep(folder / "portions")

    @classmethod
    def create(cls, folder: Path, header: Header) -> GalleryStore:
        """A new gallery; one that is there is gone on with, if it is of the same model and index."""
        if not (folder / "gallery.json").exists():
            (folder / "portions").mkdir(parents=True, exist_ok=True)
            write_json(folder / "gallery.json", asdict(header))
        store = cls(folder)
        store.require(header.fingerprint)
        if store.header.index != header.index:
            raise UserError(
                f"{folder} is searched by {store.header.index}, not by {header.index}: name another folder, or remove"
                " --index to go on with this one"
            )
        return store

    def require(self, fingerprint: str) -> None:
        """Refuse another model than the one that made the vectors."""
        if fingerprint != self.header.fingerprint:
            raise UserError(
                f"{self.folder} was made by another model ({self.header.model}, fingerprint"
                f" {self.header.fingerprint[:12]}, this one is {fingerprint[:12]}): their vectors cannot be compared"
            )

    def append(self, portion: Portion) -> None:
        """Keep these images; they are safe on return."""
        assert set(portion.columns) == set(COLUMNS)
        files = self._files()
        width = self._read(files[0]).vectors.shape[1] if files else None
        vectors = unit_rows(portion.vectors, width=width, what="vectors")
        number = int(files[-1].stem) + 1 if files else 0
        with replaced_file(self.folder / "portions" / f"{number:06d}.npz") as file:
            columns = {name: np.asarray(portion.columns[name], kind) for name, kind in COLUMNS.items()}
            np.savez(file, vectors=vectors, **columns)  # type: ignore[arg-type]

    def portions(self) -> Iterator[Portion]:
        """All that is kept, in the order in which it came."""
        return map(self._read, self._files())

    def columns(self) -> dict[str, np.ndarray]:
        """Everything known of the images but their vectors."""
        parts = list(self.portions())
        return {
            name: np.concatenate([part.columns[name] for part in parts]) if parts else np.empty(0, kind)
            for name, kind in COLUMNS.items()
        }

    def open_index(self, index: GalleryIndex) -> GalleryIndex:
        """The (new) index with every vector of the gallery: from its file as far as that goes."""
        file, note = self.folder / "index.bin", self.folder / "index.json"
        if file.exists():
            self._check_index(file, note)
            index.load(file)
        done = have = len(index)
        total = 0
        for portion in self.portions():
            new = portion.vectors[max(0, done - total) :]
            total += len(portion)
            if len(new):
                index.add(new)
                have += len(new)
        if done > total:
            raise DataError(f"{self.folder}: the index has {done} vectors and the gallery {total}; remove {file}")
        if total == 0:
            raise UserError(f"{self.folder}: the gallery is empty: add images before searching")
        if have > done or not file.exists():
            index.save(file)
            names = [portion.name for portion in self._files()]
            write_json(note, {"rows": total, "portions": names, "sha256": digest(file)})
        return index

    def ranking(self, index: GalleryIndex, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> Ranking:
        """The k best rows of the gallery for each query (Q, D)."""
        scores, ids = index.search(queries, k, allowed)
        return Ranking(ids, scores)

    def _files(self) -> Sequence[Path]:
        return sorted((self.folder / "portions").glob("[0-9]*.npz"))

    def _read(self, file: Path) -> Portion:
        try:
            with np.load(file, allow_pickle=False) as stored:  # each member has a check sum
                return Portion(stored["vectors"], {name: stored[name] for name in COLUMNS})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{file} is damaged ({error}): move it away, then `gallery.py add` embeds its images again"
            ) from error

    def _read_header(self) -> Header:
        file = self.folder / "gallery.json"
        if not file.is_file():
            raise UserError(f"{self.folder} is no gallery: there is no {file.name} in it (gallery.py build makes one)")
        try:
            header = Header(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise DataError(f"{file} is damaged ({error})") from error
        if header.format != FORMAT:
            raise UserError(f"{file} has the format {header.format}, this version reads {FORMAT}")
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
        if made_from != [portion.name for portion in self._files()][: len(made_from)]:
            raise DataError(f"{file} was made from portions that are gone: {again}")
