"""Exact search by matrix products, on CPU or GPU, within a memory limit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError, DataError, UserError
from vireid.core.io import replaced_file
from vireid.core.registries import INDEXES
from vireid.retrieval.best import top_k
from vireid.retrieval.index.vectors import checked_search, filled, unit_rows

MIB = 1 << 20
QUERIES = 1024  # queries that are compared at a time


@INDEXES.register
class TorchExact:
    """Exact nearest-neighbor search by cosine similarity, one block of gallery rows at a time.

    The gallery stays in host memory and is copied to the GPU block by block, so it may be larger than the memory of the
    GPU.

    Args:
        device: Where to compute; "auto" is CUDA if a GPU is available.
        memory_mb: Memory of a search in MiB, in addition to the embeddings and the result.

    Shape:
        `add` takes (G, D); `search` takes (Q, D) and returns (Q, k) similarities and ids. Rows are L2-normalized.

    Raises:
        UserError: For `device` "cuda" without a GPU and for `memory_mb` below 1.

    Example:
        >>> index = TorchExact(device="cpu")
        >>> index.add(np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> index.search(np.array([[0.0, 2.0]]), k=2)[1].tolist()
        [[1, 0]]
    """

    exact = True

    def __init__(self, *, device: Literal["auto", "cpu", "cuda"] = "auto", memory_mb: int = 256) -> None:
        if memory_mb < 1:
            raise ArgumentError("memory_mb", f"must be at least 1, got {memory_mb}")
        if device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device", "is 'cuda', but torch finds no GPU; use device 'auto' or 'cpu'")
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self.device, self.memory_mb = torch.device(automatic if device == "auto" else device), memory_mb
        self._parts: list[np.ndarray] = []

    @property
    def description(self) -> str:
        """Name for the conditions of a result."""
        return "exact search (torch)"

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, features: np.ndarray) -> None:
        width = self._parts[0].shape[1] if self._parts else None
        self._parts.append(unit_rows(features, width=width, what="gallery"))

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        checked_search(len(self), k, allowed)
        gallery, most = self._all(), min(k, len(self))
        rows = torch.from_numpy(unit_rows(queries, width=gallery.shape[1], what="queries"))
        if len(rows) == 0:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        step, block = self._blocks(len(rows), gallery.shape[1], most)
        parts = [self._top_k(rows[i : i + step], gallery, block, most, allowed) for i in range(0, len(rows), step)]
        scores, ids = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        return filled(scores, np.where(scores == -np.inf, -1, ids), k)

    def save(self, path: Path) -> None:
        if not self._parts:
            raise UserError("the index is empty: add embeddings before saving it")
        with replaced_file(path) as file:
            np.save(file, self._all())

    def load(self, path: Path) -> None:
        try:
            rows = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read as an index ({error}); build it again") from error
        self._parts = [unit_rows(rows, width=None, what=f"embeddings in {path}")]

    def _all(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def _blocks(self, queries: int, width: int, k: int) -> tuple[int, int]:
        """Return the numbers of queries and of gallery rows at a time that fit into the memory limit."""
        step = min(queries, QUERIES)
        each = 4 * step * 4 + (4 * width if self.device.type != "cpu" else 0)  # bytes for one gallery row
        return step, max(k, self.memory_mb * MIB // each)

    def _top_k(
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
            best, columns = top_k(similar, min(k, len(part)))
            merged, places = top_k(torch.cat([scores, best], dim=1), min(k, ids.shape[1] + columns.shape[1]))
            scores, ids = merged, torch.cat([ids, columns + start], dim=1).gather(1, places)
        return scores.cpu().numpy(), ids.cpu().numpy()
