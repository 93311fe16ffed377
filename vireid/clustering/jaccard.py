"""Sparse graph of Jaccard distances between images, from the sets of their k-reciprocal neighbors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.retrieval.rerank.distances import BLOCK, Distances, Neighbors
from vireid.retrieval.rerank.k_reciprocal import SharedWeight, averaged, encode, mutual

ROWS = 128  # rows of a block of distances at least: with fewer, a product of wide rows waits for the memory
Sparse = Any  # scipy.sparse.csr_matrix, whose operators are not typed


class _ProductDistances(Distances):
    """Neighbors by Euclidean distance, weights of pairs by the dot product: 2 - 2 x.y, for rows of any norm.

    `furthest` is not the largest distance of a row but the smallest 2 - 2 x.y among its neighbors. Subtracting it
    prevents an overflow of the exponential and keeps the normalized weights.
    """

    def __init__(self, features: np.ndarray) -> None:
        super().__init__(features)
        self.products = torch.from_numpy(np.ascontiguousarray(features))

    @property
    def step(self) -> int:
        return max(ROWS, super().step)

    def pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        step, out = max(1, BLOCK // self.products.shape[1]), np.empty(len(left), self.products.numpy().dtype)
        for start in range(0, len(left), step):
            sides = [torch.from_numpy(side[start : start + step].astype(np.int64)) for side in (left, right)]
            products = torch.einsum("md,md->m", self.products[sides[0]], self.products[sides[1]])
            out[start : start + step] = (2 - 2 * products).numpy()
        return out

    def relative(self, distances: Tensor, furthest: Tensor) -> Tensor:
        return distances - furthest


def jaccard_graph(features: np.ndarray, *, k1: int, k2: int, eps: float) -> Sparse:
    """Compute the pairs of rows whose Jaccard distance is at most `eps`.

    A row i is encoded over the expanded set E of its mutual neighbors (each among the k1 nearest of the other) by the
    weights exp(2 x_i.x_j), divided by their sum; encodings are averaged over the k2 nearest rows. With s the sum of the
    smaller weights of two encodings, their distance is 1 - s / (2 - s). Rows are processed in blocks: memory is O(N k)
    in addition to a block.

    Args:
        features: (N, D) embeddings, of any norm.
        k1: Number of nearest rows, the row itself included.
        k2: Number of nearest rows over which encodings are averaged; 1: no averaging.
        eps: Largest distance of a stored pair.

    Returns:
        (N, N) sparse: the distances, explicitly stored also where they are 0. Symmetric; every row has itself.

    Raises:
        ArgumentError: For k1 or k2 below 1, and eps outside of [0, 1).

    Source:
        ADCA (ACM MM 2022), released code. The k-reciprocal encoding is that of Zhong et al., CVPR 2017; there a row has
        k1 neighbors besides itself, and weights depend on distances divided by the largest of the row.

    Departs:
        Only the pairs up to `eps` exist, in place of an N x N matrix.

    Example:
        >>> rows = np.array([[1.0, 0.0], [0.98, 0.2], [0.0, 1.0], [0.2, 0.98]])
        >>> jaccard_graph(rows, k1=2, k2=1, eps=0.5).toarray().astype(bool).astype(int).tolist()
        [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    """
    for name, value in (("k1", k1), ("k2", k2)):
        if value < 1:
            raise ArgumentError(name, f"must be at least 1, got {value}")
    if not 0 <= eps < 1:
        raise ArgumentError("eps", f"must be in [0, 1), got {eps:g}")
    number = len(features)
    if not number:
        return sparse.csr_matrix((0, 0))
    codes = _encodings(features, k1, k2)
    shared = SharedWeight(codes, codes, False)
    step, parts = max(1, BLOCK // max(number, 1)), []
    for start in range(0, number, step):
        block = shared.jaccard(slice(start, min(start + step, number))).clip(min=0)
        rows, columns = np.nonzero(block <= eps)
        indptr = np.searchsorted(rows, np.arange(len(block) + 1))
        parts.append(sparse.csr_matrix((block[rows, columns], columns, indptr), block.shape))
    return sparse.vstack(parts, format="csr")


def _encodings(features: np.ndarray, k1: int, k2: int) -> Sparse:
    """The encoding of each row: (N, N) sparse, each row with sum 1."""
    distances, number = _ProductDistances(features), len(features)
    near = distances.neighbors(min(k1, number), number, lambda rows, block, furthest: None)
    row = np.repeat(np.arange(number), near.ids.shape[1])
    products = distances.pairs(row, near.ids.ravel()).reshape(near.ids.shape)
    near = Neighbors(near.ids, products, products.min(axis=1))
    members, inner = mutual(near.ids), mutual(near.ids[:, : round(k1 / 2) + 1])
    codes = encode(distances, near, members, inner, near.furthest, False)
    return averaged(codes, near.ids[:, :k2], False)
