"""Re-ranking by a random walk among the gallery images, without the matrix of the walk."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import DataError, UserError
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.forecast import announce
from vireid.retrieval.rerank.sides import checked

BLOCK = 1 << 24  # entries of the walk's matrix that exist at a time
QUERIES = 4096  # queries that are solved at a time
MOST_STEPS = 200


@RERANKERS.register
class RandomWalk:
    """A query's similarities spread over the gallery: an image is near that is similar to what is near.

    With A the row-wise softmax of the gallery's dot products (0 of an image with itself) and s the similarities of a
    query, the result is (1 - alpha) (I - alpha A)^-1 s.
    `alpha`: share of a step that goes on to neighbours.

    Shapes: (Q, D), (G, D) -> (Q, G) float, larger is closer.
    Source: the release of HCT and MMD (`random_walk`).
    Departs from it: no inverse and no G x G matrix. A is similar to a symmetric matrix whose first eigenvector is
    known, so the rest is solved by conjugate gradients to the precision of the features (float64, else float32), with
    blocks of A made and thrown away: memory O(G) times the queries solved at a time.
    """

    def __init__(self, *, alpha: float = 0.95) -> None:
        if not 0 <= alpha < 1:
            raise UserError(f"alpha must be in [0, 1), got {alpha:g}")
        self.alpha = alpha

    @property
    def says(self) -> str:
        """How tables name it."""
        return f"random walk (alpha {self.alpha:g})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        announce(self.says, self._ranked, queries, gallery, powers=(2, 3), memory=self.memory(queries, gallery))
        return self._ranked(queries, gallery)

    def memory(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Bytes that are needed at most beside the features: a copy, the result, a block, and the solver's columns."""
        entry = 8 if np.float64 in (queries.dtype, gallery.dtype) else 4
        columns = 8 * len(gallery) * min(len(queries), QUERIES)
        return entry * (gallery.size + queries.size + len(queries) * len(gallery) + 2 * BLOCK + columns)

    def _ranked(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = checked(queries, gallery)
        walk = _Walk(torch.from_numpy(gallery))
        out = np.empty((len(queries), len(gallery)), gallery.dtype)
        for start in range(0, len(queries), QUERIES):
            similar = walk.gallery @ torch.from_numpy(queries[start : start + QUERIES]).T
            out[start : start + QUERIES] = ((1 - self.alpha) * walk.solve(similar, self.alpha)).T.numpy()
        return out


class _Walk:
    """A = P^-1 E with E symmetric and P its row sums; made block by block."""

    def __init__(self, gallery: Tensor) -> None:
        self.gallery = gallery
        self.largest = float(gallery.square().sum(dim=1).amax().clamp_min(0))  # no dot product is larger
        total = self._times(gallery.new_ones(len(gallery), 1))
        if not (torch.isfinite(total).all() and (total > 0).all()):
            raise DataError("gallery features are too long for a softmax of their dot products: make their rows unit")
        self.root = total.sqrt()  # (G, 1): P^1/2, and the first eigenvector of P^-1/2 E P^-1/2, not yet unit
        self.first = self.root / self.root.norm()

    def solve(self, right: Tensor, alpha: float) -> Tensor:
        """(G, Q): x with (I - alpha A) x = right."""
        scaled = right * self.root
        known = self.first @ (self.first.T @ scaled)  # its eigenvalue is 1
        return (known / (1 - alpha) + self._gradients(scaled - known, alpha)) / self.root

    def _gradients(self, right: Tensor, alpha: float) -> Tensor:
        """Conjugate gradients, each column by itself, in the space without the first eigenvector."""
        goal = right.norm(dim=0) * 10 * torch.finfo(right.dtype).eps
        out, left = torch.zeros_like(right), right.clone()
        direction, square = left.clone(), left.square().sum(dim=0)
        for _ in range(MOST_STEPS):
            if (square.sqrt() <= goal).all():
                break
            image = direction - alpha * self._times(direction / self.root) / self.root
            image -= self.first @ (self.first.T @ image)
            length = square / (direction * image).sum(dim=0).clamp_min(torch.finfo(right.dtype).tiny)
            out += length * direction
            left -= length * image
            before, square = square, left.square().sum(dim=0)
            direction = left + (square / before.clamp_min(torch.finfo(right.dtype).tiny)) * direction
        return out

    def _times(self, values: Tensor) -> Tensor:
        """(G, Q): E @ values, where E_ij = exp(g_i g_j - largest), and exp(0 - largest) where i = j."""
        number, out = len(self.gallery), torch.empty_like(values)
        step = max(1, BLOCK // number)
        for start in range(0, number, step):
            block = self.gallery[start : start + step] @ self.gallery.T
            block[torch.arange(len(block)), torch.arange(start, start + len(block))] = 0
            out[start : start + step] = block.sub_(self.largest).exp_() @ values
        return out
