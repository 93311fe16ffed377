"""Base class of the faiss indexes: training, rebuilding after growth, GPU, filters, files."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from vireid.core.errors import ArgumentError, UserError
from vireid.retrieval.best import order_ties
from vireid.retrieval.index.faiss_files import Note, read_index, write_index
from vireid.retrieval.index.faiss_gpu import FaissGpuError, gpu_resources, import_faiss
from vireid.retrieval.index.torch_exact import TorchExact
from vireid.retrieval.index.vectors import checked_search, filled, unit_rows

log = logging.getLogger(__name__)
Device = Literal["auto", "cpu", "cuda"]
GROWTH = 1.25  # an index with more than this times the embeddings of its training is trained again
KEPT = 1 << 15  # embeddings from which training hardly improves; an index of codes keeps the raw ones until then


class FaissIndex(ABC):
    """A faiss index for cosine similarity. Subclasses define the index (`_empty`) and its search (`_parameters`).

    Embeddings are collected until the first search or save, because their number decides the number of lists and the
    training sample. Later embeddings are added to the index directly.

    Training: fewer than `least` embeddings cannot train the index; they are searched exactly. An index that holds more
    than `growth` times the embeddings that it was trained on is trained again at the next search or save. This needs
    the embeddings themselves. An index that stores only codes keeps them up to `KEPT` embeddings; beyond, it logs one
    warning instead (a `GalleryStore` rebuilds it from its stored embeddings).

    The index is stored on the GPU if there is one and faiss works on it. If faiss does not work on the GPU,
    `TorchExact` searches instead, and one warning is logged.
    """

    exhaustive = False  # whether every embedding is compared
    on_gpu = True  # whether faiss supports this index on a GPU
    least: ClassVar[int] = 0  # embeddings that the training needs; 0: nothing is trained
    keeps_vectors: ClassVar[bool] = True  # whether the embeddings can be read from the faiss index

    def __init__(self, *, device: Device = "auto") -> None:
        self.device = device
        self.growth = GROWTH
        self._waiting: list[np.ndarray] = []
        self._raw: list[np.ndarray] | None = None  # embeddings of which the faiss index stores codes only
        self._index: Any = None
        self._trained_on: int | None = 0
        self._reported = False
        self._instead: TorchExact | None = None
        self._resources: Any = None
        import_faiss()
        if device != "cpu" and self.on_gpu:
            self._use_gpu()

    def _use_gpu(self) -> None:
        try:
            self._resources = gpu_resources()
        except FaissGpuError as error:
            log.warning("faiss does not work on this GPU (%s): TorchExact searches instead", error)
            self._instead = TorchExact()
        if self.device == "cuda" and self._resources is None and self._instead is None:
            raise ArgumentError("device", "is 'cuda', but there is no GPU; use device 'auto' or 'cpu'")

    @property
    def exact(self) -> bool:
        """Whether a search returns the true nearest neighbors."""
        return self._instead is not None or self.exhaustive or self._small

    @property
    def description(self) -> str:
        """Name and arguments, for the conditions of a result."""
        if self._instead is not None:
            return self._instead.description
        return self._named() + (f", exact below {self.least} vectors" if self._small else "")

    @property
    def trained_on(self) -> int | None:
        """Number of embeddings that the index was trained on; 0: none; None: unknown (a file of an earlier version)."""
        return self._trained_on

    @property
    def limit(self) -> int | None:
        """Number of embeddings up to which the training is valid; None: this index is never trained."""
        if self._instead is not None or not self.least:
            return None
        if self._trained_on is None:
            return 0
        return int(self.growth * self._trained_on) if self._trained_on else self.least - 1

    def outgrown(self, number: int) -> bool:
        """Whether the index must be trained again to hold `number` embeddings."""
        return self.limit is not None and number > self.limit

    # -- what a subclass defines ---------------------------------------------------------------------------------

    @abstractmethod
    def _named(self) -> str:
        """Return name and arguments, as the conditions of a result print them."""

    @abstractmethod
    def _empty(self, rows: np.ndarray) -> Any:
        """Return a trained index without embeddings, for a gallery like `rows`."""

    @abstractmethod
    def _parameters(self, selector: Any) -> Any:
        """Return the search parameters of faiss."""

    def _cosines(self, scores: np.ndarray) -> np.ndarray:
        """Convert the scores of faiss to cosines."""
        return scores

    def _stored(self, index: Any) -> np.ndarray:
        """Read (N, D) embeddings from an index in host memory that stores them."""
        return index.reconstruct_n(0, index.ntotal)

    def check_width(self, width: int) -> None:
        """Raise UserError if embeddings of this width cannot be indexed with these arguments."""
        return  # any width, unless a subclass needs more

    # -- the interface -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._instead is not None:
            return len(self._instead)
        return sum(map(len, self._waiting)) + (0 if self._index is None else int(self._index.ntotal))

    def add(self, features: np.ndarray) -> None:
        if self._instead is not None:
            self._instead.add(features)
            return
        rows = unit_rows(features, width=self._width(), what="gallery")
        self.check_width(rows.shape[1])
        if self._index is None:
            self._waiting.append(rows)
            return
        self._index.add(rows)
        if self._raw is not None:
            self._raw.append(rows)
        if not self.keeps_vectors and (self._small or self._raw is not None) and len(self) >= KEPT:
            self.built()
            self._raw = None  # memory stays bounded

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        if self._instead is not None:
            return self._instead.search(queries, k, allowed)
        checked_search(len(self), k, allowed)
        rows = unit_rows(queries, width=self._width(), what="queries")
        faiss, index = import_faiss(), self.built()
        selector = None if allowed is None else faiss.IDSelectorBatch(np.flatnonzero(allowed))
        if self._small:
            scores, ids = index.search(rows, min(k, len(self)), params=flat_parameters(selector))
            return filled(*order_ties(scores, ids), k)
        scores, ids = index.search(rows, min(k, len(self)), params=self._parameters(selector))
        return filled(*order_ties(self._cosines(scores), ids), k)

    def save(self, path: Path) -> None:
        if self._instead is not None:
            self._instead.save(path)
            return
        if len(self) == 0:
            raise UserError("the index is empty: add embeddings before saving it")
        index = self.built()
        write_index(path, self._on_host(index), Note(type(self).__name__, self._trained_on or 0))

    def load(self, path: Path) -> None:
        if self._instead is not None:
            self._instead.load(path)
            return
        index, note = read_index(path, type(self).__name__)
        trained_on = note.trained_on if note is not None else None if self.least else 0
        self.clear()
        self._index, self._trained_on = self._placed(index), trained_on

    def clear(self) -> None:
        """Remove all embeddings and the training."""
        if self._instead is not None:
            self._instead = TorchExact()
        self._waiting, self._raw, self._index, self._trained_on, self._reported = [], None, None, 0, False

    def built(self) -> Any:
        """Return the faiss index, built from all embeddings, and built again if it has outgrown its training."""
        if self._index is None:
            self._build(self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting))
        elif self.outgrown(len(self)):
            rows = self._vectors()
            if rows is not None:
                log.info("%s: trained again on %d embeddings (before: %s)", self._named(), len(rows), self._trained_on)
                self._build(rows)
            elif not self._reported:
                self._reported = True
                log.warning(
                    "%s holds %d embeddings and was trained on %s: its recall is lower than that of an index built from"
                    " all of them at once; build it again",
                    self._named(),
                    len(self),
                    "an unknown number" if self._trained_on is None else self._trained_on,
                )
        return self._index

    def _build(self, rows: np.ndarray) -> None:
        small = len(rows) < self.least
        index = self._placed(import_faiss().IndexFlatIP(rows.shape[1]) if small else self._empty(rows))
        index.add(rows)
        self._index, self._waiting = index, []
        self._trained_on = 0 if small or not self.least else len(rows)
        self._raw = None if small or self.keeps_vectors or len(rows) >= KEPT else [rows]

    @property
    def _small(self) -> bool:
        """Whether there are too few embeddings for training; they are searched exactly."""
        return self._index is not None and self.least > 0 and self._trained_on == 0

    def _vectors(self) -> np.ndarray | None:
        """Return all embeddings (N, D) of the index; None if only codes are stored."""
        if self._small:
            index = self._on_host(self._index)
            return index.reconstruct_n(0, index.ntotal)
        if self.keeps_vectors:
            return self._stored(self._on_host(self._index))
        return None if self._raw is None else np.concatenate(self._raw)

    def _placed(self, index: Any) -> Any:
        if self._resources is None:
            return index
        return import_faiss().index_cpu_to_gpu(self._resources, 0, index)

    def _on_host(self, index: Any) -> Any:
        return import_faiss().index_gpu_to_cpu(index) if self._resources is not None else index

    def _width(self) -> int | None:
        if self._waiting:
            return self._waiting[0].shape[1]
        return None if self._index is None else int(self._index.d)


def flat_parameters(selector: Any) -> Any:
    """Return the search parameters of a flat index."""
    return None if selector is None else import_faiss().SearchParameters(sel=selector)
