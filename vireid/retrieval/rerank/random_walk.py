"""Re-ranking by a random walk among the gallery images, without the matrix of the walk."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import DataError, UserError
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.forecast import announce
from vireid.retrieval.rerank.sides import checked

BLOCK = 1 << 24  # entries of the walk's matrix that exist at a time
QUERIES = 4096  # queries that are solved at a time
DENSE = 2048  # gallery images up to which the linear system is solved directly, in float64
PATIENCE = 8  # steps without a smaller residual, beside those that the condition number explains, that are allowed
ACCEPTED = 1e-3  # relative residual above which a stagnated column is an error


@RERANKERS.register
class RandomWalk:
    """A query's similarities spread over the gallery: an image is near that is similar to what is near.

    With A the row-wise softmax of the gallery's dot products (0 of an image with itself) and s the similarities of a
    query, the result is (1 - alpha) (I - alpha A)^-1 s.
    `alpha`: share of a step that goes on to neighbours.

    Shapes: (Q, D), (G, D) -> (Q, G) float, larger is closer.
    Source: the release of HCT and MMD (`random_walk`).
    Departs from it: no inverse. A is similar to a symmetric matrix S whose first eigenvector is known. Up to 2,048
    gallery images, I - alpha S is decomposed (Cholesky, float64). For more, no G x G matrix exists: the space without
    the first eigenvector is solved by conjugate gradients to the precision of the features (float64, else float32),
    with blocks of A made and thrown away: memory O(G) times the queries solved at a time.
    Errors: DataError if the dot products of the gallery are too large for a softmax.
    """

    def __init__(self, *, alpha: float = 0.95) -> None:
        if not 0 <= alpha < 1:
            raise UserError(f"alpha must be in [0, 1), got {alpha:g}")
        self.alpha = alpha

    @property
    def description(self) -> str:
        """How tables name it."""
        return f"random walk (alpha {self.alpha:g})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = checked(queries, gallery)
        announce(self.description, self._ranked, queries, gallery, powers=(2, 3), memory=self.memory(queries, gallery))
        return self._ranked(queries, gallery)

    def memory(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Bytes that are needed at most beside the features: a copy, the result, a block, and the solver's columns."""
        entry = 8 if np.float64 in (queries.dtype, gallery.dtype) else 4
        columns = min(len(queries), QUERIES) * len(gallery)
        result = entry * (gallery.size + queries.size + len(queries) * len(gallery))
        if len(gallery) <= DENSE:
            return result + 8 * (gallery.size + 3 * len(gallery) ** 2 + 4 * columns)
        return result + entry * (2 * BLOCK + 8 * columns)

    def _ranked(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = checked(queries, gallery)
        dense = len(gallery) <= DENSE
        walk = _Walk(torch.from_numpy(gallery).double() if dense else torch.from_numpy(gallery))
        rest = walk.decomposed(self.alpha) if dense else lambda scaled: walk.gradients(scaled, self.alpha)
        out = np.empty((len(queries), len(gallery)), gallery.dtype)
        for start in range(0, len(queries), QUERIES):
            similar = walk.gallery @ torch.from_numpy(queries[start : start + QUERIES]).to(walk.gallery.dtype).T
            out[start : start + QUERIES] = walk.solve(similar, self.alpha, rest).T.numpy()
        return out


class _Walk:
    """A = P^-1 E with E symmetric and P its row sums; S = P^-1/2 E P^-1/2."""

    def __init__(self, gallery: Tensor) -> None:
        self.gallery = gallery
        self.largest = float(gallery.square().sum(dim=1).amax().clamp_min(0))  # no dot product is larger
        total = self._times(gallery.new_ones(len(gallery), 1))
        if not (torch.isfinite(total).all() and (total > 0).all()):
            raise DataError(
                f"gallery features are too long for a softmax of their dot products (the largest squared length is"
                f" {self.largest:.3g}): L2-normalize them"
            )
        self.root = total.sqrt()  # (G, 1): P^1/2, and the first eigenvector of S, not yet of length 1
        self.first = self.root / self.root.norm()

    def solve(self, right: Tensor, alpha: float, rest: Callable[[Tensor], Tensor]) -> Tensor:
        """(G, Q): (1 - alpha) x with (I - alpha A) x = right; `rest` solves in the space without the first eigenvector.

        That eigenvector, whose part of x grows without limit as alpha nears 1, is handled exactly.
        """
        size = right.abs().amax(dim=0).clamp_min(torch.finfo(right.dtype).tiny)  # squares of long queries overflow
        scaled = right / size * self.root
        known = self.first @ (self.first.T @ scaled)  # its eigenvalue is 1
        return (known + (1 - alpha) * rest(scaled)) / self.root * size

    def decomposed(self, alpha: float) -> Callable[[Tensor], Tensor]:
        """The function (G, Q) -> (G, Q) that solves without the first eigenvector, by one Cholesky decomposition."""
        system = self._block(slice(0, len(self.gallery))).div_(self.root).div_(self.root.T)
        system.sub_(self.first @ self.first.T).mul_(-alpha)
        system.diagonal().add_(1)
        factor, failed = torch.linalg.cholesky_ex(system)
        if failed:
            raise UserError(f"random walk: alpha {alpha!r} is too close to 1 for a solution; choose a smaller one")
        return lambda scaled: torch.cholesky_solve(self._projected(scaled), factor)

    def gradients(self, scaled: Tensor, alpha: float) -> Tensor:
        """Conjugate gradients, each column by itself, in the space without the first eigenvector.

        Rounding brings the first eigenvector back, so the residual is projected in every step. A column ends when its
        residual is as small as the rounding of the whole right side, or no longer becomes smaller: what remains of the
        right side may be rounding only, which no number of steps reduces.
        """
        tiny = torch.finfo(scaled.dtype).tiny
        size = scaled.norm(dim=0).clamp_min(tiny)
        goal = size * 10 * torch.finfo(scaled.dtype).eps
        left = self._projected(self._projected(scaled))
        out, best, direction, square = torch.zeros_like(left), torch.zeros_like(left), left.clone(), _squares(left)
        least, since = square.sqrt(), torch.zeros_like(square, dtype=torch.int64)
        active = least > goal
        patience = PATIENCE + math.ceil(math.sqrt((1 + alpha) / (1 - alpha)))
        for _ in range(most_steps(alpha, scaled.dtype)):
            if not active.any():
                break
            image = self._projected(direction - alpha * self._times(direction / self.root) / self.root)
            curvature = (direction * image).sum(dim=0)
            active &= curvature > tiny
            length = torch.where(active, square / curvature.clamp_min(tiny), 0)
            out += length * direction
            left = self._projected(left - length * image)
            before, square = square, _squares(left)
            smaller = active & (square.sqrt() < least)
            best = torch.where(smaller, out, best)
            least, since = torch.where(smaller, square.sqrt(), least), torch.where(smaller, 0, since + 1)
            active &= (least > goal) & (since < patience)
            direction = left + torch.where(active, square / before.clamp_min(tiny), 0) * direction
        if (worst := float((least / size).max())) > ACCEPTED:
            raise UserError(
                f"the random walk did not converge (alpha {alpha:g}, relative residual {worst:.1g}): choose a smaller"
                " alpha, or pass float64 features"
            )
        return best

    def _projected(self, values: Tensor) -> Tensor:
        """Without their part along the first eigenvector."""
        return values - self.first @ (self.first.T @ values)

    def _times(self, values: Tensor) -> Tensor:
        """(G, Q): E @ values, block by block."""
        out, step = torch.empty_like(values), max(1, BLOCK // len(self.gallery))
        for start in range(0, len(values), step):
            out[start : start + step] = self._block(slice(start, start + step)) @ values
        return out

    def _block(self, rows: slice) -> Tensor:
        """(b, G): E_ij = exp(g_i g_j - largest), and exp(0 - largest) where i = j."""
        block = self.gallery[rows] @ self.gallery.T
        places = torch.arange(len(block))
        block[places, places + rows.start] = 0
        return block.sub_(self.largest).exp_()


def _squares(values: Tensor) -> Tensor:
    return values.square().sum(dim=0)


def most_steps(alpha: float, dtype: torch.dtype) -> int:
    """Steps after which conjugate gradients have converged, from the condition number of I - alpha S.

    >>> most_steps(0.0, torch.float32), most_steps(0.95, torch.float32), most_steps(0.999, torch.float64)
    (29, 72, 842)
    """
    condition = (1 + alpha) / (1 - alpha)
    return 20 + math.ceil(math.sqrt(condition) / 2 * math.log(2 / torch.finfo(dtype).eps))
