"""k-reciprocal re-ranking with sparse matrices: memory O(N k) in addition to the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vireid.core.errors import ArgumentError, UserError, nearest
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.distances import BLOCK, Distances, Neighbors
from vireid.retrieval.rerank.progress import rerank_progress
from vireid.retrieval.rerank.sides import check_embeddings, stack_embeddings

Half = Literal["distances", "weights"]
HALVES = get_args(Half)
Sparse = Any  # scipy.sparse.csr_matrix, whose operators are not typed
PAIRS = 1 << 22  # shared neighbors that are summed at a time


@RERANKERS.register
class KReciprocal:
    """Re-rank by k-reciprocal encoding: the Jaccard distance of the sets of mutual neighbors.

    Two images are mutual neighbors if each is among the k1 nearest images of the other. An image is encoded by the
    weights exp(-d) of its mutual neighbors; d is the squared distance divided by the largest one of the image. The
    result is -(weight * d + (1 - weight) * J) with J the Jaccard distance of the two encodings.

    Args:
        k1: Number of neighbors of which the mutual ones are kept.
        k2: Number of nearest images over which an encoding is averaged (local query expansion).
        weight: Weight of the original distance in the result.
        neighbors: Images among which neighbors are searched: "all", or "queries" as in MPANet's release on
            SYSU-MM01.
        expand: Add the sets of mutual neighbors, as published; False keeps the mutual neighbors alone, as in MCJA.
        half: What is rounded to half precision, to reproduce a release: "weights" (MPANet), "distances" and "weights"
            (HCT, MMD, MCE). The order of nearly equal images in these releases depends on this rounding.
        chosen_on: Data on which the values were chosen, such as "the test set": a condition of the results.

    Shape:
        queries (Q, D), gallery (G, D) -> (Q, G) float, larger is closer (minus the distance).

    Raises:
        UserError: For k1, k2 or weight out of range and unknown names; for embeddings that are not two matrices of the
            same width.
        DataError: For embeddings that are not finite.

    Source:
        Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, as released by HCT,
        MMD, MCE and MPANet.

    Departs:
        float32 (float64 for float64 embeddings). Equal distances are ordered by row, and an image is its own nearest
        neighbor. The releases hold several N x N matrices and loop over images.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0]]), np.array([[0.8, 0.6], [0.0, 1.0], [1.0, 0.1]])
        >>> KReciprocal(k1=2, k2=1)(queries, gallery).argmax(axis=1).tolist()
        [2]
    """

    transductive = "the gallery and the other queries"

    def __init__(
        self,
        *,
        k1: int = 20,
        k2: int = 6,
        weight: float = 0.3,
        neighbors: Literal["all", "queries"] = "all",
        expand: bool = True,
        half: tuple[Half, ...] = (),
        chosen_on: str = "",
    ) -> None:
        if k1 < 1 or k2 < 1:
            raise UserError(f"k1 and k2 must be at least 1, got {k1} and {k2}")
        if not 0 <= weight <= 1:
            raise ArgumentError("weight", f"must be in [0, 1], got {weight:g}")
        for name, value, known in [
            ("neighbors", neighbors, ("all", "queries")),
            *(("half", h, HALVES) for h in half),
        ]:
            if value not in known:
                raise UserError(f"{name}: {value!r} is not one of {known}{nearest(str(value), known)}")
        self.k1, self.k2, self.weight, self.neighbors, self.half = k1, k2, weight, neighbors, tuple(half)
        self.expand, self.chosen_on = expand, chosen_on

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        only = " of the queries only" if self.neighbors == "queries" else ""
        sets = "" if self.expand else ", sets not expanded"
        half = f", {' and '.join(self.half)} in half precision" if self.half else ""
        return f"k-reciprocal (k1 {self.k1}, k2 {self.k2}, weight {self.weight:g}{only}{sets}{half})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = check_embeddings(queries, gallery)
        images, memory = len(queries) + len(gallery), self.memory(queries, gallery)
        total = images + len(queries)  # neighbors of each image, then Jaccard distances of each query
        with rerank_progress(self.description, queries, gallery, total=total, unit="image", memory=memory) as advance:
            return self._rerank(queries, gallery, advance)

    def memory(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Return the bytes needed at most in addition to the embeddings.

        These are a copy of them, the result, blocks of distances and about 60 k entries for each image.
        """
        images = len(queries) + len(gallery)
        entry = 8 if np.float64 in (queries.dtype, gallery.dtype) else 4
        sparse = images * max(self.k1, self.k2) * 60 * entry
        return entry * (images * queries.shape[1] + len(queries) * len(gallery) + 4 * BLOCK) + 40 * PAIRS + sparse

    def _rerank(self, queries: np.ndarray, gallery: np.ndarray, advance: Callable[[int], object]) -> np.ndarray:
        distances = Distances(stack_embeddings(queries, gallery), half="distances" in self.half)
        num_queries, half = len(queries), "weights" in self.half
        among = num_queries if self.neighbors == "queries" else len(distances)
        out = np.empty((num_queries, len(distances) - num_queries), distances.squares.numpy().dtype)

        def keep(rows: slice, block: Tensor, furthest: Tensor) -> None:
            query_rows = out[rows]  # empty after the last query
            number = len(query_rows)
            query_rows[:] = distances.relative(block[:number, num_queries:], furthest[:number]).numpy()
            advance(len(block))

        near = distances.neighbors(min(max(self.k1 + 1, self.k2), len(distances)), among, keep)
        codes = averaged(encodings(distances, near, self.k1, half, expand=self.expand), near.ids[:, : self.k2], half)
        shared = SharedWeight(codes[:num_queries], codes[num_queries:], half)
        step = max(1, BLOCK // max(out.shape[1], 1))
        for start in range(0, num_queries, step):
            rows = slice(start, min(start + step, num_queries))
            jaccard = shared.jaccard(rows)
            out[rows] *= -self.weight
            jaccard *= 1 - self.weight
            out[rows] -= jaccard
            advance(rows.stop - rows.start)
        return out


def encodings(distances: Distances, near: Neighbors, k1: int, half: bool, *, expand: bool = True) -> Sparse:
    """Encode each image: (N, N) sparse, the weights of its expanded mutual neighbors, with sum 1.

    The (k1 / 2) mutual neighbors of a mutual neighbor are added if more than two thirds of them are shared. Without
    `expand` the inner sets are empty, and nothing is added.
    """
    members = mutual(near.ids[:, : k1 + 1])
    inner = mutual(near.ids[:, : round(k1 / 2) + 1]) if expand else sparse.csr_matrix(members.shape, dtype=np.float32)
    return encode(distances, near, members, inner, near.furthest, half)


def encode(
    distances: Distances, near: Neighbors, members: Sparse, inner: Sparse, furthest: np.ndarray, half: bool
) -> Sparse:
    """Encode sets of images: (N, N) sparse, the weights exp(-d / furthest) of the expanded sets, with sum 1.

    The inner set of a member is added if more than two thirds of it are members.

    Args:
        distances: All distances.
        near: Known distances; those of other pairs are computed.
        members: (N, N) indicator of the set of each image; an empty set gives an empty encoding.
        inner: (N, N) indicator of the inner set of each image.
        furthest: (N,) squared distance by which those of an image are divided.
        half: Round the weights to half precision.
    """
    overlap = (members @ inner.T).multiply(members).tocsr()
    sizes = np.diff(inner.indptr)
    overlap.data = (overlap.data > 2 / 3 * sizes[overlap.indices]).astype(np.float32)
    overlap.eliminate_zeros()
    expanded = (members + overlap @ inner).tocsr()
    expanded.sort_indices()
    image = np.repeat(np.arange(len(distances)), np.diff(expanded.indptr))
    squared = near.of_pairs(image, expanded.indices)
    far = np.flatnonzero(np.isnan(squared))
    squared[far] = distances.pairs(image[far], expanded.indices[far])
    relative = distances.relative(torch.from_numpy(squared), torch.from_numpy(furthest[image]))
    weights = np.exp(-relative.numpy())
    weights /= np.bincount(image, weights, minlength=len(distances)).astype(weights.dtype)[image]
    return sparse.csr_matrix((_rounded(weights, half), expanded.indices, expanded.indptr), expanded.shape)


def averaged(codes: Sparse, near: np.ndarray, half: bool) -> Sparse:
    """Replace each encoding by the mean over the nearest images, the image itself included."""
    return codes if near.shape[1] == 1 else mean_of(codes, near, half)


def mean_of(codes: Sparse, rows: np.ndarray, half: bool) -> Sparse:
    """The mean over a list of rows for each image: codes (N, N) sparse, rows (N, L) -> (N, N) sparse."""
    out = (indicator(rows, codes.dtype) @ codes).tocsr()
    out.data = _rounded(out.data / rows.shape[1], half)
    return out


class SharedWeight:
    """Sum the smaller of the two weights over the images that two encodings share."""

    def __init__(self, queries: Sparse, gallery: Sparse, half: bool) -> None:
        queries.sort_indices()
        self.queries, self.half = queries, half
        columns = gallery.tocsc()
        self.starts, self.counts = columns.indptr[:-1].astype(np.int64), np.diff(columns.indptr).astype(np.int64)
        self.rows, self.values, self.size = columns.indices, columns.data, gallery.shape[0]
        shared = np.concatenate([[0], self.counts[queries.indices].cumsum()])
        self.pairs = np.diff(shared[queries.indptr])  # (Q,) number of weights shared with gallery images

    def jaccard(self, rows: slice) -> np.ndarray:
        """Compute (b, G) Jaccard distances of these queries to the gallery."""
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
        query = np.repeat(np.arange(last - first), np.diff(self.queries.indptr[first : last + 1]))
        neighbors, weights = self.queries.indices[entries], self.queries.data[entries]
        counts = self.counts[neighbors]
        ends = counts.cumsum()
        at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[neighbors] - ends + counts, counts)
        cells = np.repeat(query * self.size, counts) + self.rows[at]
        smaller = np.minimum(np.repeat(weights, counts), self.values[at])
        shape = (last - first, self.size)
        if self.half:
            return _summed_in_half(cells, smaller, shape)
        return np.bincount(cells, smaller, minlength=shape[0] * shape[1]).reshape(shape).astype(smaller.dtype)


def _summed_in_half(cells: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sum the entries in their order, rounding to half precision after each addition."""
    total = np.zeros(shape[0] * shape[1], np.float16)
    np.add.at(total, cells, values.astype(np.float16))
    return total.reshape(shape).astype(values.dtype)


def mutual(near: np.ndarray) -> Sparse:
    """(N, N) ones where two images are among each other's neighbors."""
    return both_ways(indicator(near, np.float32))


def both_ways(nearest_of: Sparse) -> Sparse:
    """The entries of a square indicator that its transpose has as well."""
    return nearest_of.multiply(nearest_of.T).tocsr()


def indicator(near: np.ndarray, dtype: Any = np.float32) -> Sparse:
    """Lists of row numbers (N, K) as an (N, N) matrix of ones."""
    number, k = near.shape
    starts = np.arange(0, number * k + 1, max(k, 1)) if k else np.zeros(number + 1, np.int64)
    return sparse.csr_matrix((np.ones(number * k, dtype), near.ravel(), starts), (number, number))


def _rounded(values: np.ndarray, half: bool) -> np.ndarray:
    return values.astype(np.float16).astype(values.dtype) if half else values
