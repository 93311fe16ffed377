"""Exact search by matrix products, on any device, within a stated memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import DataError, UserError
from vireid.core.io import replaced_file
from vireid.core.registries import INDEXES
from vireid.retrieval.best import largest
from vireid.retrieval.index.vectors import checked_search, filled, unit_rows

MIB = 1 << 20
QUERIES = 1024  # at most, at a time


@INDEXES.register
class TorchExact:
    """Exact search: all dot products, a block of gallery rows at a time.

    `device`: "auto" is CUDA where there is a card. `memory_mb`: how much a search takes beside the vectors themselves
    and its answer; the gallery stays on the host and goes to the card block by block, so that it may be larger than the
    card's memory.

    Shapes: `add` (G, D), `search` (Q, D) -> (Q, k) similarities and ids.
    """

    exact = True

    def __init__(self, *, device: Literal["auto", "cpu", "cuda"] = "auto", memory_mb: int = 256) -> None:
        if memory_mb < 1:
            raise UserError(f"memory_mb must be at least 1, got {memory_mb}")
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device 'cuda' was asked for, and torch finds no card; use 'auto' or 'cpu'")
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self.device, self.memory_mb = torch.device(automatic if device == "auto" else device), memory_mb
        self._parts: list[np.ndarray] = []

    @property
    def description(self) -> str:
        """How results name it."""
        return "exact search (torch)"

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, features: np.ndarray) -> None:
        width = self._parts[0].shape[1] if self._parts else None
        self._parts.append(unit_rows(features, width=width, what="gallery"))

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        checked_search(len(self), k, allowed)
        gallery, most = self._whole(), min(k, len(self))
        rows = torch.from_numpy(unit_rows(queries, width=gallery.shape[1], what="queries"))
        if len(rows) == 0:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        step, block = self._blocks(len(rows), gallery.shape[1], most)
        found = [self._of(rows[i : i + step], gallery, block, most, allowed) for i in range(0, len(rows), step)]
        scores, ids = (np.concatenate([part[i] for part in found]) for i in (0, 1))
        return filled(scores, np.where(scores == -np.inf, -1, ids), k)

    def save(self, path: Path) -> None:
        if not self._parts:
            raise UserError("the index is empty: add vectors before saving it")
        with replaced_file(path) as file:
            np.save(file, self._whole())

    def load(self, path: Path) -> None:
        try:
            rows = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read as an index ({error}); build it again") from error
        self._parts = [unit_rows(rows, width=None, what=f"vectors in {path}")]

    def _whole(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def _blocks(self, queries: int, width: int, k: int) -> tuple[int, int]:
        """Queries and gallery rows at a time: similarities with what `topk` needs of them, and the block's rows."""
        step = min(queries, QUERIES)
        each = 4 * step * 4 + (4 * width if self.device.type != "cpu" else 0)  # bytes for one gallery row
        return step, max(k, self.memory_mb * MIB // each)

    def _of(
        self, rows: Tensor, gallery: np.ndarray, block: int, k: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = rows.to(self.device)
        scores = torch.empty(len(rows), 0, device=self.device)
        ids = torch.empty(len(rows), 0, dtype=torch.int64, device=self.device)
        for start in range(0, len(gallery), block):
            part = torch.from_numpy(gallery[start : start + block]).to(self.device)
            similar = rows @ part.T
            if allowed is not None:
                similar[:, torch.from_numpy(~allowed[start : start + block]).to(self.device)] = -torch.inf
            best, columns = largest(similar, min(k, len(part)))
            merged, places = largest(torch.cat([scores, best], dim=1), min(k, ids.shape[1] + columns.shape[1]))
            scores, ids = merged, torch.cat([ids, columns + start], dim=1).gather(1, places)
        return scores.cpu().numpy(), ids.cpu().numpy()
