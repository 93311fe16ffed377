"""Squared Euclidean distances of all rows of a table among each other, a block of rows at a time: never N x N."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vireid.retrieval.best import largest

BLOCK = 1 << 20  # entries of the distance matrix that exist at a time: they stay in the cache
SHARED = 0.99  # part of the mean squared length that the squared length of the mean may have
PAIRED = 1 << 20  # entries of rows that are multiplied pair by pair at a time: they stay in the cache


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each row, itself among them, and the distance of its furthest row."""

    ids: np.ndarray  # (N, K) int64, nearest first; equal distances in the order of rows
    apart: np.ndarray  # (N, K) their squared distances
    furthest: np.ndarray  # (N,)

    def of_pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(M,) squared distances of the rows left[m] to right[m], NaN where that is none of its neighbours."""
        number = len(self.ids)
        order = self.ids.argsort(axis=1)
        keys = np.take_along_axis(self.ids, order, axis=1) + number * np.arange(number)[:, None]
        wanted = left * number + right
        at = np.searchsorted(keys.ravel(), wanted).clip(max=keys.size - 1)
        apart = np.take_along_axis(self.apart, order, axis=1).ravel()[at]
        return np.where(keys.ravel()[at] == wanted, apart, np.nan)


class Distances:
    """Distances among N rows.

    `half`: features, distances and their quotients are rounded to half precision, as some released codes store them;
    arithmetic stays in the precision of the features.
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
        """Rows of a block."""
        return max(1, BLOCK // max(len(self), 1))

    def block(self, rows: slice) -> Tensor:
        """(b, N) squared distances; exactly 0 of a row to itself."""
        out = torch.addmm(self.squares, self.rows[rows], self.rows.T, alpha=-2)
        out.add_(self.squares[rows, None]).clamp_min_(0)
        own = torch.arange(rows.start, min(rows.stop, len(self)))
        out[own - rows.start, own] = 0
        return self._stored(out)

    def pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(M,) squared distances of the rows left[m] and right[m]."""
        step, out = max(1, PAIRED // self.rows.shape[1]), np.empty(len(left), self.squares.numpy().dtype)
        for start in range(0, len(left), step):
            sides = [torch.from_numpy(side[start : start + step].astype(np.int64)) for side in (left, right)]
            products = torch.einsum("md,md->m", self.rows[sides[0]], self.rows[sides[1]])
            apart = (self.squares[sides[0]] + self.squares[sides[1]] - 2 * products).clamp_min_(0)
            out[start : start + step] = self._stored(torch.where(sides[0] == sides[1], 0, apart)).numpy()
        return out

    def relative(self, distances: Tensor, furthest: Tensor) -> Tensor:
        """Distances divided by the largest of their row; 0 where all of them are 0 (rows that are all equal)."""
        return self._rounded(distances / furthest.masked_fill(furthest == 0, 1))

    def neighbours(self, k: int, among: int, seen: Callable[[slice, Tensor, Tensor], None]) -> Neighbours:
        """The k nearest of the first `among` rows; where they are too few, the others follow in their order.

        `seen` gets each block of rows, its distances and the largest of each row, (b, 1): to make them again would cost
        as much as all else.
        """
        near = min(k, among)
        rest = torch.arange(among, min(among + k - near, len(self)))
        found: list[tuple[Tensor, ...]] = []
        for start in range(0, len(self), self.step):
            block = self.block(slice(start, start + self.step))
            furthest = block.amax(dim=1, keepdim=True)
            seen(slice(start, start + len(block)), block, furthest)
            ranked = self.relative(block, furthest) if self.half else block
            ids = torch.cat([largest(-ranked[:, :among], near)[1], rest.expand(len(block), -1)], dim=1)
            found.append((ids, block.gather(1, ids), furthest[:, 0]))
        return Neighbours(*(torch.cat(column).numpy() for column in zip(*found)))

    def _stored(self, squared: Tensor) -> Tensor:
        return self._rounded(self._rounded(squared.sqrt()).square()) if self.half else squared

    def _rounded(self, values: Tensor) -> Tensor:
        return values.half().to(values.dtype) if self.half else values


def _without_shared_part(rows: Tensor) -> Tensor:
    """Subtract the mean where it is nearly all of the rows: products lose the small differences to rounding there."""
    mean = rows.mean(dim=0)
    return rows - mean if len(rows) and mean.square().sum() > SHARED * rows.square().sum(dim=1).mean() else rows
