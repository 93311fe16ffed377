"""Squared Euclidean distances of all rows of a table among each other, a block of rows at a time: never N x N."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vireid.retrieval.best import largest

BLOCK = 1 << 24  # entries of the distance matrix that exist at a time


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each row, itself among them, and the distance of its furthest row."""

    ids: np.ndarray  # (N, K) int64, nearest first; equal distances in the order of rows
    furthest: np.ndarray  # (N,)


class Distances:
    """Distances among N rows.

    `half`: features, distances and their quotients are rounded to half precision, as some released codes store them;
    arithmetic stays in the precision of the features.
    """

    def __init__(self, features: np.ndarray, *, half: bool = False) -> None:
        self.half = half
        self.rows = self._rounded(torch.from_numpy(np.ascontiguousarray(features)))
        self.squares = self.rows.square().sum(dim=1)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def step(self) -> int:
        """Rows of a block."""
        return max(1, BLOCK // max(len(self), 1))

    def block(self, rows: slice, columns: slice = slice(None)) -> Tensor:
        """(b, columns) squared distances; exactly 0 of a row to itself."""
        squares = self.squares[rows, None] + self.squares[None, columns]
        out = torch.addmm(squares, self.rows[rows], self.rows[columns].T, alpha=-2).clamp_min_(0)
        first = max(rows.start, columns.start or 0)
        last = max(first, min(rows.stop, columns.stop or len(self), len(self)))
        out[torch.arange(first, last) - rows.start, torch.arange(first, last) - (columns.start or 0)] = 0
        return self._stored(out)

    def pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(M,) squared distances of the rows left[m] and right[m]."""
        step, out = max(1, BLOCK // self.rows.shape[1]), np.empty(len(left), self.squares.numpy().dtype)
        for start in range(0, len(left), step):
            sides = [torch.from_numpy(side[start : start + step].astype(np.int64)) for side in (left, right)]
            products = torch.einsum("md,md->m", self.rows[sides[0]], self.rows[sides[1]])
            apart = (self.squares[sides[0]] + self.squares[sides[1]] - 2 * products).clamp_min_(0)
            out[start : start + step] = self._stored(torch.where(sides[0] == sides[1], 0, apart)).numpy()
        return out

    def relative(self, distances: Tensor, furthest: Tensor) -> Tensor:
        """Distances divided by the largest of their row."""
        return self._rounded(distances / furthest)

    def neighbours(self, k: int, among: int) -> Neighbours:
        """The k nearest of the first `among` rows; where they are too few, the others follow in their order."""
        near, ids, furthest = min(k, among), [], []
        for start in range(0, len(self), self.step):
            block = self.block(slice(start, start + self.step))
            furthest.append(block.amax(dim=1))
            ranked = self.relative(block, furthest[-1][:, None]) if self.half else block
            ids.append(largest(-ranked[:, :among], near)[1])
        rest = torch.arange(among, min(among + k - near, len(self))).expand(len(self), -1)
        return Neighbours(torch.cat([torch.cat(ids), rest], dim=1).numpy(), torch.cat(furthest).numpy())

    def blocks(self, rows: int) -> Iterator[slice]:
        """The first `rows` rows, block by block."""
        return (slice(start, min(start + self.step, rows)) for start in range(0, rows, self.step))

    def _stored(self, squared: Tensor) -> Tensor:
        return self._rounded(self._rounded(squared.sqrt()).square()) if self.half else squared

    def _rounded(self, values: Tensor) -> Tensor:
        return values.half().to(values.dtype) if self.half else values
