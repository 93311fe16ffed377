"""Squared Euclidean distances between all rows of a table, one block of rows at a time: never N x N."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vireid.retrieval.best import top_k

BLOCK = 1 << 20  # entries of the distance matrix that exist at a time: they stay in the cache
SHARED = 0.99  # largest share of the mean squared norm that the squared norm of the mean may have
PAIRED = 1 << 20  # entries of rows that are multiplied pair by pair at a time: they stay in the cache


@dataclass(frozen=True)
class Neighbors:
    """The nearest rows of each row, the row itself included."""

    ids: np.ndarray  # (N, K) int64, nearest first; equal distances in the order of rows
    squared: np.ndarray  # (N, K) their squared distances
    furthest: np.ndarray  # (N,) squared distance of the furthest row

    def of_pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Look up (M,) squared distances of the rows left[m] and right[m]; NaN where right[m] is not a neighbor."""
        number = len(self.ids)
        order = self.ids.argsort(axis=1)
        keys = np.take_along_axis(self.ids, order, axis=1) + number * np.arange(number)[:, None]
        pair_keys = left * number + right
        at = np.searchsorted(keys.ravel(), pair_keys).clip(max=keys.size - 1)
        squared = np.take_along_axis(self.squared, order, axis=1).ravel()[at]
        return np.where(keys.ravel()[at] == pair_keys, squared, np.nan)


class Distances:
    """Squared distances between N rows.

    Args:
        features: Embeddings (N, D).
        half: Round embeddings, distances and their quotients to half precision, as some released codes store them.
            Arithmetic stays in the precision of the embeddings.
    """

    def __init__(self, features: np.ndarray, *, half: bool = False) -> None:
        self.half = half
        self.rows = self._rounded(torch.from_numpy(np.ascontiguousarray(features)))
        if not half:
            self.rows = _without_shared_part(self.rows)
        self.squares = self.rows.square().sum(dim=1)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def step(self) -> int:
        """Number of rows in a block."""
        return max(1, BLOCK // max(len(self), 1))

    def block(self, rows: slice) -> Tensor:
        """Compute (b, N) squared distances; the distance of a row to itself is exactly 0."""
        out = torch.addmm(self.squares, self.rows[rows], self.rows.T, alpha=-2)
        out.add_(self.squares[rows, None]).clamp_min_(0)
        diagonal = torch.arange(rows.start, min(rows.stop, len(self)))
        out[diagonal - rows.start, diagonal] = 0
        return self._stored(out)

    def pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Compute (M,) squared distances of the rows left[m] and right[m]."""
        step, out = max(1, PAIRED // self.rows.shape[1]), np.empty(len(left), self.squares.numpy().dtype)
        for start in range(0, len(left), step):
            sides = [torch.from_numpy(side[start : start + step].astype(np.int64)) for side in (left, right)]
            products = torch.einsum("md,md->m", self.rows[sides[0]], self.rows[sides[1]])
            squared = (self.squares[sides[0]] + self.squares[sides[1]] - 2 * products).clamp_min_(0)
            out[start : start + step] = self._stored(torch.where(sides[0] == sides[1], 0, squared)).numpy()
        return out

    def relative(self, distances: Tensor, furthest: Tensor) -> Tensor:
        """Divide distances by the largest of their row; 0 where all of them are 0 (rows that are all equal)."""
        return self._rounded(distances / furthest.masked_fill(furthest == 0, 1))

    def neighbors(self, k: int, among: int, on_block: Callable[[slice, Tensor, Tensor], None]) -> Neighbors:
        """Find the k nearest of the first `among` rows; if these are fewer than k, the next rows follow in order.

        Args:
            k: Number of neighbors.
            among: Number of rows, from the first, that are searched.
            on_block: Called with each block of rows, its distances and the largest of each row, (b, 1). Computing them
                again would cost as much as all other work.
        """
        near = min(k, among)
        rest = torch.arange(among, min(among + k - near, len(self)))
        blocks: list[tuple[Tensor, ...]] = []
        for start in range(0, len(self), self.step):
            block = self.block(slice(start, start + self.step))
            furthest = block.amax(dim=1, keepdim=True)
            on_block(slice(start, start + len(block)), block, furthest)
            ranked = self.relative(block, furthest) if self.half else block
            ids = torch.cat([top_k(-ranked[:, :among], near)[1], rest.expand(len(block), -1)], dim=1)
            blocks.append((ids, block.gather(1, ids), furthest[:, 0]))
        return Neighbors(*(torch.cat(column).numpy() for column in zip(*blocks)))

    def _stored(self, squared: Tensor) -> Tensor:
        return self._rounded(self._rounded(squared.sqrt()).square()) if self.half else squared

    def _rounded(self, values: Tensor) -> Tensor:
        return values.half().to(values.dtype) if self.half else values


def _without_shared_part(rows: Tensor) -> Tensor:
    """Subtract the mean if it is most of the rows: otherwise products lose small differences to rounding."""
    mean = rows.mean(dim=0)
    return rows - mean if len(rows) and mean.square().sum() > SHARED * rows.square().sum(dim=1).mean() else rows
