"""What the faiss indexes share: training when the gallery is known, the card, filters, files."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.files import replaced_file
from vireid.retrieval.best import ordered
from vireid.retrieval.index.faiss_cards import CardFault, the_faiss, working_card
from vireid.retrieval.index.torch_exact import TorchExact
from vireid.retrieval.index.vectors import checked_search, filled, unit_rows

log = logging.getLogger(__name__)
Device = Literal["auto", "cpu", "cuda"]


class FaissIndex(ABC):
    """A faiss index over cosine similarity. Subclasses say which (`_empty`) and how a search goes (`_parameters`).

    Vectors are collected until the first search or save: only then is it known how many there are, which decides the
    number of lists, and what to train on. Later ones go straight into the index.
    With a card on which faiss works the index lies there; where faiss does not work on the card, `TorchExact` answers
    instead, and the log says so once.
    """

    whole = False  # whether every vector is compared
    on_cards = True  # whether faiss has this index on a card

    def __init__(self, *, device: Device = "auto") -> None:
        self.device = device
        self._waiting: list[np.ndarray] = []
        self._index: Any = None
        self._instead: TorchExact | None = None
        self._resources: Any = None
        the_faiss()
        if device != "cpu" and self.on_cards:
            self._ask_for_the_card()

    def _ask_for_the_card(self) -> None:
        try:
            self._resources = working_card()
        except CardFault as fault:
            log.warning("faiss does not work on this card (%s): TorchExact searches instead", fault)
            self._instead = TorchExact()
        if self.device == "cuda" and self._resources is None and self._instead is None:
            raise UserError("device 'cuda' was asked for, and there is no card; use 'auto' or 'cpu'")

    @property
    def exact(self) -> bool:
        """Whether an answer is the true one."""
        return self._instead is not None or self.whole

    @property
    def says(self) -> str:
        """How results name it."""
        return self._named() if self._instead is None else self._instead.says

    # -- what a subclass says ------------------------------------------------------------------------------------

    @abstractmethod
    def _named(self) -> str:
        """Name and values, as the conditions of a number state them."""

    @abstractmethod
    def _empty(self, rows: np.ndarray) -> Any:
        """A trained index without vectors, for a gallery like `rows`."""

    @abstractmethod
    def _parameters(self, selector: Any) -> Any:
        """faiss's search parameters."""

    def _cosines(self, found: np.ndarray) -> np.ndarray:
        """Cosines, from what faiss gives."""
        return found

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
        if self._index is None:
            self._waiting.append(rows)
        else:
            self._index.add(rows)

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        if self._instead is not None:
            return self._instead.search(queries, k, allowed)
        checked_search(len(self), k, allowed)
        rows = unit_rows(queries, width=self._width(), what="queries")
        faiss, index = the_faiss(), self.built()
        selector = None if allowed is None else faiss.IDSelectorBatch(np.flatnonzero(allowed))
        scores, ids = index.search(rows, min(k, len(self)), params=self._parameters(selector))
        return filled(*ordered(self._cosines(scores), ids), k)

    def save(self, path: Path) -> None:
        if self._instead is not None:
            self._instead.save(path)
            return
        faiss, index = the_faiss(), self.built()
        on_host = faiss.index_gpu_to_cpu(index) if self._resources is not None else index
        with replaced_file(path) as file:
            file.write(faiss.serialize_index(on_host).data)

    def load(self, path: Path) -> None:
        if self._instead is not None:
            self._instead.load(path)
            return
        faiss = the_faiss()
        try:
            index = faiss.deserialize_index(np.fromfile(path, dtype=np.uint8), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
        except (OSError, RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{path} cannot be read as an index ({reason}); build it again") from error
        self._waiting, self._index = [], self._placed(index)

    def built(self) -> Any:
        """faiss's own index, built from what waits if need be."""
        if self._index is None:
            rows = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
            index = self._placed(self._empty(rows))
            index.add(rows)
            self._index, self._waiting = index, []
        return self._index

    def _placed(self, index: Any) -> Any:
        if self._resources is None:
            return index
        return the_faiss().index_cpu_to_gpu(self._resources, 0, index)

    def _width(self) -> int | None:
        if self._waiting:
            return self._waiting[0].shape[1]
        return None if self._index is None else int(self._index.d)
