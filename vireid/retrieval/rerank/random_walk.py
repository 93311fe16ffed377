"""Re-ranking by a random walk over the gallery, without storing its transition matrix."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError, DataError, UserError
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.progress import rerank_progress
from vireid.retrieval.rerank.sides import check_embeddings

BLOCK = 1 << 24  # entries of the transition matrix in memory at a time
QUERIES = 4096  # queries that are solved at a time
DENSE = 2048  # gallery images up to which the linear system is solved directly, in float64
PATIENCE = 8  # allowed steps without a smaller residual, in addition to those that the condition number explains
ACCEPTED = 1e-3  # relative residual above which a stagnated column is an error


@RERANKERS.register
class RandomWalk:
    """Re-rank by a random walk: spread the similarities of a query over similar gallery images.

    With A the row-wise softmax of the gallery's dot products (diagonal 0 before the softmax) and s the similarities of
    a query, the result is (1 - alpha) (I - alpha A)^-1 s.

    Args:
        alpha: Probability that the walk continues to another gallery image, in [0, 1).

    Shape:
        queries (Q, D), gallery (G, D) -> (Q, G) float, larger is closer.

    Raises:
        UserError: For alpha out of range or too close to 1; for embeddings that are not two matrices of the same width.
        DataError: If embeddings are not finite, or the dot products of the gallery are too large for a softmax.

    Source:
        The releases of HCT and MMD (`random_walk`).

    Departs:
        No matrix is inverted. A is similar to a symmetric matrix S whose first eigenvector is known. Up to 2,048
        gallery images, I - alpha S is decomposed (Cholesky, float64). For more, no G x G matrix is stored: the
        complement of the first eigenvector is solved by conjugate gradients to the precision of the embeddings
        (float64, else float32), with blocks of A computed and discarded. Memory is O(G) times the number of queries
        solved at a time.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0]]), np.array([[0.8, 0.6], [0.0, 1.0], [1.0, 0.0]])
        >>> RandomWalk(alpha=0.5)(queries, gallery).argmax(axis=1).tolist()
        [2]
    """

    transductive = "the gallery and the other queries"

    def __init__(self, *, alpha: float = 0.95) -> None:
        if not 0 <= alpha < 1:
            raise ArgumentError("alpha", f"must be in [0, 1), got {alpha:g}")
        self.alpha = alpha

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        return f"random walk (alpha {self.alpha:g})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = check_embeddings(queries, gallery)
        memory = self.memory(queries, gallery)
        total = -(-len(queries) // QUERIES) * self._steps(queries, gallery)
        with rerank_progress(self.description, queries, gallery, total=total, unit="step", memory=memory) as advance:
            return self._rerank(queries, gallery, advance)

    def memory(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Return the bytes needed at most in addition to the embeddings.

        These are a copy of them, the result, blocks of the transition matrix and the columns of the solver.
        """
        entry = 8 if np.float64 in (queries.dtype, gallery.dtype) else 4
        columns = min(len(queries), QUERIES) * len(gallery)
        result = entry * (gallery.size + queries.size + len(queries) * len(gallery))
        if len(gallery) <= DENSE:
            return result + 8 * (gallery.size + 3 * len(gallery) ** 2 + 4 * columns)
        return result + entry * (2 * BLOCK + 8 * columns)

    def _steps(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Largest number of steps for one block of queries."""
        double = np.float64 in (queries.dtype, gallery.dtype)
        return 1 if len(gallery) <= DENSE else most_steps(self.alpha, torch.float64 if double else torch.float32)

    def _rerank(self, queries: np.ndarray, gallery: np.ndarray, advance: Callable[[int], object]) -> np.ndarray:
        queries, gallery = check_embeddings(queries, gallery)
        steps, dense = self._steps(queries, gallery), len(gallery) <= DENSE
        walk = _Walk(torch.from_numpy(gallery).double() if dense else torch.from_numpy(gallery))
        done = 0

        def count_step() -> None:
            nonlocal done
            done += 1
            advance(1)

        rest = walk.decomposed(self.alpha) if dense else lambda scaled: walk.gradients(scaled, self.alpha, count_step)
        out = np.empty((len(queries), len(gallery)), gallery.dtype)
        for start in range(0, len(queries), QUERIES):
            similar = walk.gallery @ torch.from_numpy(queries[start : start + QUERIES]).to(walk.gallery.dtype).T
            done = 0
            out[start : start + QUERIES] = walk.solve(similar, self.alpha, rest).T.numpy()
            advance(steps - done)  # the solver converged earlier
        return out


class _Walk:
    """The transition matrix A = P^-1 E, with E symmetric and P its row sums; S = P^-1/2 E P^-1/2."""

    def __init__(self, gallery: Tensor) -> None:
        self.gallery = gallery
        self.largest = float(gallery.square().sum(dim=1).amax().clamp_min(0))  # no dot product is larger
        total = self._times(gallery.new_ones(len(gallery), 1))
        if not (torch.isfinite(total).all() and (total > 0).all()):
            raise DataError(
                f"gallery embeddings are too long for a softmax of their dot products (the largest squared norm is"
                f" {self.largest:.3g}): L2-normalize them"
            )
        self.root = total.sqrt()  # (G, 1): P^1/2, and the first eigenvector of S, not yet of length 1
        self.first = self.root / self.root.norm()

    def solve(self, right: Tensor, alpha: float, rest: Callable[[Tensor], Tensor]) -> Tensor:
        """Solve (I - alpha A) x = right and return (1 - alpha) x, (G, Q).

        The part along the first eigenvector, which grows without limit as alpha approaches 1, is solved exactly.

        Args:
            right: Right-hand sides (G, Q).
            alpha: Probability that the walk continues.
            rest: Solver for the complement of the first eigenvector.
        """
        size = right.abs().amax(dim=0).clamp_min(torch.finfo(right.dtype).tiny)  # squares of long queries overflow
        scaled = right / size * self.root
        known = self.first @ (self.first.T @ scaled)  # its eigenvalue is 1
        return (known + (1 - alpha) * rest(scaled)) / self.root * size

    def decomposed(self, alpha: float) -> Callable[[Tensor], Tensor]:
        """Decompose the system by Cholesky; return the solver (G, Q) -> (G, Q) without the first eigenvector."""
        system = self._block(slice(0, len(self.gallery))).div_(self.root).div_(self.root.T)
        system.sub_(self.first @ self.first.T).mul_(-alpha)
        system.diagonal().add_(1)
        factor, failed = torch.linalg.cholesky_ex(system)
        if failed:
            raise UserError(f"random walk: alpha {alpha!r} is too close to 1 for a solution; choose a smaller one")
        return lambda scaled: torch.cholesky_solve(self._projected(scaled), factor)

    def gradients(self, scaled: Tensor, alpha: float, on_step: Callable[[], object]) -> Tensor:
        """Solve by conjugate gradients, column by column, in the complement of the first eigenvector.

        Rounding brings the first eigenvector back, so the residual is projected in every step. A column ends when its
        residual is as small as the rounding of the complete right-hand side, or does not decrease any more: the
        remaining right-hand side may be rounding only, which no number of steps reduces.
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
            on_step()
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
                " alpha, or pass float64 embeddings"
            )
        return best

    def _projected(self, values: Tensor) -> Tensor:
        """Remove the part along the first eigenvector."""
        return values - self.first @ (self.first.T @ values)

    def _times(self, values: Tensor) -> Tensor:
        """Compute (G, Q): E @ values, one block at a time."""
        out, step = torch.empty_like(values), max(1, BLOCK // len(self.gallery))
        for start in range(0, len(values), step):
            out[start : start + step] = self._block(slice(start, start + step)) @ values
        return out

    def _block(self, rows: slice) -> Tensor:
        """Compute (b, G): E_ij = exp(g_i g_j - largest), and exp(0 - largest) where i = j."""
        block = self.gallery[rows] @ self.gallery.T
        places = torch.arange(len(block))
        block[places, places + rows.start] = 0
        return block.sub_(self.largest).exp_()


def _squares(values: Tensor) -> Tensor:
    return values.square().sum(dim=0)


def most_steps(alpha: float, dtype: torch.dtype) -> int:
    """Bound the number of steps of conjugate gradients by the condition number of I - alpha S.

    >>> most_steps(0.0, torch.float32), most_steps(0.95, torch.float32), most_steps(0.999, torch.float64)
    (29, 72, 842)
    """
    condition = (1 + alpha) / (1 - alpha)
    return 20 + math.ceil(math.sqrt(condition) / 2 * math.log(2 / torch.finfo(dtype).eps))
