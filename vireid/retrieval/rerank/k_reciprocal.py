"""Re-ranking by the neighbours that two images share, with sparse matrices: memory O(N k) beside the result."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vireid.core.errors import UserError, nearest
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.distances import BLOCK, Distances, Neighbours
from vireid.retrieval.rerank.forecast import announce
from vireid.retrieval.rerank.sides import checked, stacked

Half = Literal["distances", "weights"]
HALVES = get_args(Half)
Sparse = Any  # scipy.sparse.csr_matrix, whose operators have types that say nothing
PAIRS = 1 << 22  # shared neighbours that are summed at a time


@RERANKERS.register
class KReciprocal:
    """k-reciprocal encoding: images are near that have the same mutual neighbours, among queries and gallery.

    `k1`: neighbours of which the mutual ones are kept; `k2`: neighbours over which an image's encoding is averaged;
    `weight`: share of the plain distance in the result.
    `neighbours`: "all" images, or only "queries", as MPANet's release does on SYSU-MM01.
    `half`: what is rounded to half precision, only to repeat a release: "weights" (MPANet), "distances" and "weights"
    (HCT, MMD, MCE). Their order of near-equal images depends on that rounding.

    Shapes: (Q, D), (G, D) -> (Q, G) float, larger is closer (minus the distance).
    Source: Zhong et al., CVPR 2017, in the form of the releases of HCT, MMD, MCE and MPANet.
    Departs from them: float32 (float64 for float64 features); equal distances are ordered by row; an image is its own
    nearest. The releases hold several N x N matrices and loop over images.
    """

    def __init__(
        self,
        *,
        k1: int = 20,
        k2: int = 6,
        weight: float = 0.3,
        neighbours: Literal["all", "queries"] = "all",
        half: tuple[Half, ...] = (),
    ) -> None:
        if k1 < 1 or k2 < 1:
            raise UserError(f"k1 and k2 must be at least 1, got {k1} and {k2}")
        if not 0 <= weight <= 1:
            raise UserError(f"weight must be in [0, 1], got {weight:g}")
        for name, value, known in [
            ("neighbours", neighbours, ("all", "queries")),
            *(("half", h, HALVES) for h in half),
        ]:
            if value not in known:
                raise UserError(f"{name}: {value!r} is not one of {known}{nearest(str(value), known)}")
        self.k1, self.k2, self.weight, self.neighbours, self.half = k1, k2, weight, neighbours, tuple(half)

    @property
    def description(self) -> str:
        """How tables name it."""
        only = " of the queries only" if self.neighbours == "queries" else ""
        half = f", {' and '.join(self.half)} in half precision" if self.half else ""
        return f"k-reciprocal (k1 {self.k1}, k2 {self.k2}, weight {self.weight:g}{only}{half})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = checked(queries, gallery)
        announce(self.description, self._ranked, queries, gallery, powers=(1, 2), memory=self.memory(queries, gallery))
        return self._ranked(queries, gallery)

    def memory(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Bytes needed at most beside the features: a copy, the result, blocks, about 60 k entries for an image."""
        images = len(queries) + len(gallery)
        entry = 8 if np.float64 in (queries.dtype, gallery.dtype) else 4
        sparse = images * max(self.k1, self.k2) * 60 * entry
        return entry * (images * queries.shape[1] + len(queries) * len(gallery) + 4 * BLOCK) + 40 * PAIRS + sparse

    def _ranked(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        distances = Distances(stacked(queries, gallery), half="distances" in self.half)
        asking, half = len(queries), "weights" in self.half
        among = asking if self.neighbours == "queries" else len(distances)
        out = np.empty((asking, len(distances) - asking), distances.squares.numpy().dtype)

        def keep(rows: slice, block: Tensor, furthest: Tensor) -> None:
            asked = out[rows]  # none, once the queries are through
            number = len(asked)
            asked[:] = distances.relative(block[:number, asking:], furthest[:number]).numpy()

        near = distances.neighbours(min(max(self.k1 + 1, self.k2), len(distances)), among, keep)
        codes = averaged(encodings(distances, near, self.k1, half), near.ids[:, : self.k2], half)
        shared = SharedWeight(codes[:asking], codes[asking:], half)
        step = max(1, BLOCK // max(out.shape[1], 1))
        for start in range(0, asking, step):
            rows = slice(start, min(start + step, asking))
            jaccard = shared.jaccard(rows)
            out[rows] *= -self.weight
            jaccard *= 1 - self.weight
            out[rows] -= jaccard
        return out


def encodings(distances: Distances, near: Neighbours, k1: int, half: bool) -> Sparse:
    """(N, N) sparse: the weights of each image's expanded mutual neighbours, in sum 1.

    A mutual neighbour brings its own (k1 / 2) mutual neighbours where more than two thirds of them are shared.
    """
    mutual, inner = _mutual(near.ids[:, : k1 + 1]), _mutual(near.ids[:, : round(k1 / 2) + 1])
    overlap = (mutual @ inner.T).multiply(mutual).tocsr()
    sizes = np.diff(inner.indptr)
    overlap.data = (overlap.data > 2 / 3 * sizes[overlap.indices]).astype(np.float32)
    overlap.eliminate_zeros()
    expanded = (mutual + overlap @ inner).tocsr()
    expanded.sort_indices()
    of = np.repeat(np.arange(len(distances)), np.diff(expanded.indptr))
    apart = near.of_pairs(of, expanded.indices)
    far = np.flatnonzero(np.isnan(apart))
    apart[far] = distances.pairs(of[far], expanded.indices[far])
    relative = distances.relative(torch.from_numpy(apart), torch.from_numpy(near.furthest[of]))
    weights = np.exp(-relative.numpy())
    weights /= np.bincount(of, weights, minlength=len(distances)).astype(weights.dtype)[of]
    return sparse.csr_matrix((_rounded(weights, half), expanded.indices, expanded.indptr), expanded.shape)


def averaged(codes: Sparse, near: np.ndarray, half: bool) -> Sparse:
    """Each image's encoding becomes the mean over its nearest images, itself included."""
    if near.shape[1] == 1:
        return codes
    out = (_indicator(near, codes.dtype) @ codes).tocsr()
    out.data = _rounded(out.data / near.shape[1], half)
    return out


class SharedWeight:
    """Sums of the smaller of two encodings' weights, over the images that both name."""

    def __init__(self, queries: Sparse, gallery: Sparse, half: bool) -> None:
        queries.sort_indices()
        self.queries, self.half = queries, half
        columns = gallery.tocsc()
        self.starts, self.counts = columns.indptr[:-1].astype(np.int64), np.diff(columns.indptr).astype(np.int64)
        self.rows, self.values, self.size = columns.indices, columns.data, gallery.shape[0]
        shared = np.concatenate([[0], self.counts[queries.indices].cumsum()])
        self.pairs = np.diff(shared[queries.indptr])  # (Q,) how many of both sides' weights meet

    def jaccard(self, rows: slice) -> np.ndarray:
        """(b, G) Jaccard distances of these queries to the gallery."""
        out = np.empty((rows.stop - rows.start, self.size), self.values.dtype)
        pairs = self.pairs[rows].cumsum()
        first = 0
        while first < len(out):
            done = pairs[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(pairs, done + PAIRS, side="right")))
            shared = self._sums(rows.start + first, rows.start + last)
            jaccard = 1 - shared / (2 - shared)
            out[first:last] = _rounded(jaccard, self.half)
            first = last
        return out

    def _sums(self, first: int, last: int) -> np.ndarray:
        entries = slice(self.queries.indptr[first], self.queries.indptr[last])
        of = np.repeat(np.arange(last - first), np.diff(self.queries.indptr[first : last + 1]))
        named, weights = self.queries.indices[entries], self.queries.data[entries]
        counts = self.counts[named]
        ends = counts.cumsum()
        at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[named] - ends + counts, counts)
        cells = np.repeat(of * self.size, counts) + self.rows[at]
        smaller = np.minimum(np.repeat(weights, counts), self.values[at])
        shape = (last - first, self.size)
        if self.half:
            return _summed_in_half(cells, smaller, shape)
        return np.bincount(cells, smaller, minlength=shape[0] * shape[1]).reshape(shape).astype(smaller.dtype)


def _summed_in_half(cells: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sums that are rounded to half precision after each addition, in the order of the entries."""
    total = np.zeros(shape[0] * shape[1], np.float16)
    np.add.at(total, cells, values.astype(np.float16))
    return total.reshape(shape).astype(values.dtype)


def _mutual(near: np.ndarray) -> Sparse:
    """(N, N) ones where two images are among each other's neighbours."""
    named: Sparse = _indicator(near, np.float32)
    return named.multiply(named.T).tocsr()


def _indicator(near: np.ndarray, dtype) -> Sparse:
    number, k = near.shape
    starts = np.arange(0, number * k + 1, k)
    return sparse.csr_matrix((np.ones(number * k, dtype), near.ravel(), starts), (number, number))


def _rounded(values: np.ndarray, half: bool) -> np.ndarray:
    return values.astype(np.float16).astype(values.dtype) if half else values
