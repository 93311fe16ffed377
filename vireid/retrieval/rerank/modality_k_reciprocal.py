"""k-reciprocal re-ranking that treats the two sides, queries and gallery, as two modalities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vireid.core.errors import ArgumentError, DataError, nearest
from vireid.core.registries import RERANKERS
from vireid.retrieval.best import top_k
from vireid.retrieval.rerank.distances import BLOCK, Distances, Neighbors
from vireid.retrieval.rerank.k_reciprocal import (
    HALVES,
    PAIRS,
    Half,
    SharedWeight,
    Sparse,
    both_ways,
    encode,
    indicator,
    mean_of,
)
from vireid.retrieval.rerank.progress import rerank_progress
from vireid.retrieval.rerank.sides import check_embeddings, stack_embeddings

Search = Literal["all", "extended", "divided", "constrained"]
SEARCHES = ("all", "extended", "divided", "constrained")


@dataclass(frozen=True)
class SideNeighbors:
    """The nearest queries and the nearest gallery images of each of the N images, queries first.

    Attributes:
        queries: (N, Kq) rows, nearest first; equal distances in the order of rows.
        gallery: (N, Kg) rows.
        squared: (N, Kq + Kg) squared distances of both lists.
        furthest_query: (N,) squared distance of the furthest query.
        furthest_gallery: (N,) squared distance of the furthest gallery image.
        split: Number of queries.
    """

    queries: np.ndarray
    gallery: np.ndarray
    squared: np.ndarray
    furthest_query: np.ndarray
    furthest_gallery: np.ndarray
    split: int

    @property
    def furthest(self) -> np.ndarray:
        """(N,) squared distance of the furthest image."""
        return np.maximum(self.furthest_query, self.furthest_gallery)

    def known(self) -> Neighbors:
        """Both lists as one, to look up distances of pairs."""
        return Neighbors(np.concatenate([self.queries, self.gallery], axis=1), self.squared, self.furthest)

    def merged(self, k: int) -> np.ndarray:
        """The k nearest images of both sides: (N, k)."""
        ids = np.concatenate([self.queries, self.gallery], axis=1)
        order = np.lexsort((ids, self.squared), axis=1)[:, :k]
        return np.take_along_axis(ids, order, axis=1)

    def within(self, side: str, k: int) -> Sparse:
        """Mutual neighbors within one side: (N, N) with rows and columns of that side only."""
        near = (self.queries if side == "queries" else self.gallery)[:, :k]
        of_side = np.arange(len(near)) < self.split
        return both_ways(_rows_of(indicator(near), of_side if side == "queries" else ~of_side))

    def across(self, k: int) -> Sparse:
        """Mutual neighbors of the two sides: (N, N)."""
        lists, of_queries = indicator(self.gallery[:, :k]), np.arange(len(self.queries)) < self.split
        others = _rows_of(indicator(self.queries[:, :k]), ~of_queries)
        return both_ways((_rows_of(lists, of_queries) + others).tocsr())


@RERANKERS.register
class ModalityKReciprocal:
    """Re-rank by k-reciprocal encoding with neighbors that are searched on the two sides separately.

    As in `KReciprocal`, an image is encoded by weights over a set of mutual neighbors, encodings are averaged over near
    images, and the result is -(weight * d + (1 - weight) * J) with J the Jaccard distance of two encodings. The sides,
    queries and gallery, are the two modalities. They differ in the sets:

    - "all": mutual neighbors among all images, as in `KReciprocal`.
    - "extended": the same and the mutual neighbors of the other side.
    - "divided": neighbors among the queries only. A gallery image has no set of its own; its encoding is the mean of
      those of its nearest queries, so that with k2 = 1 only the distances remain.
    - "constrained": encodings over one side only, for both sides in turn; the Jaccard distance is their mean.

    Args:
        search: The sets.
        k1: Number of neighbors of which the mutual ones are kept.
        k2: Number of near images over which an encoding is averaged; 1: none.
        weight: Weight of the original distance in the result.
        gallery_neighbors: Of the k2 near images, so many are gallery images and the others queries; None: the nearest
            images of the sets above. Not for "constrained".
        released_rows: Repeat a defect of the release in "constrained": the mean runs over unrelated rows.
        half: "weights" rounds encodings and Jaccard distances to half precision, as the release does.
        chosen_on: Data on which the values were chosen, such as "the test set": a condition of the results.

    Shape:
        queries (Q, D), gallery (G, D) -> (Q, G) float, larger is closer (minus the distance).

    Raises:
        ArgumentError: For values out of range and unknown names.
        UserError: For embeddings that are not two matrices of the same width.
        DataError: For embeddings that are not finite; in "divided" for fewer queries than neighbors.

    Source:
        YYDS (arXiv 2403.04183), its release.

    Departs:
        Sparse matrices in place of N x N tables. Equal distances are ordered by row. A side with fewer images than
        neighbors gives shorter lists, where the release reads on into the other side.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[0.8, 0.6], [0.0, 1.0], [1.0, 0.1]])
        >>> ModalityKReciprocal(search="extended", k1=2, k2=1)(queries, gallery).argmax(axis=1).tolist()
        [2, 2]
    """

    transductive = "the gallery and the other queries"

    def __init__(
        self,
        *,
        search: Search = "extended",
        k1: int = 20,
        k2: int = 6,
        weight: float = 0.3,
        gallery_neighbors: int | None = None,
        released_rows: bool = False,
        half: tuple[Half, ...] = (),
        chosen_on: str = "",
    ) -> None:
        if search not in SEARCHES:
            raise ArgumentError("search", f"must be one of {SEARCHES}, got {search!r}{nearest(str(search), SEARCHES)}")
        for name, value in (("k1", k1), ("k2", k2)):
            if value < 1:
                raise ArgumentError(name, f"must be at least 1, got {value}")
        if not 0 <= weight <= 1:
            raise ArgumentError("weight", f"must be in [0, 1], got {weight:g}")
        if gallery_neighbors is not None:
            if search == "constrained":
                raise ArgumentError("gallery_neighbors", "is not for search 'constrained'; leave it out")
            if not 0 <= gallery_neighbors <= k2:
                raise ArgumentError("gallery_neighbors", f"must be in 0 .. k2 ({k2}), got {gallery_neighbors}")
        if released_rows and search != "constrained":
            raise ArgumentError("released_rows", f"is for search 'constrained', got {search!r}")
        if any(one not in HALVES for one in half):
            raise ArgumentError("half", f"must hold names of {HALVES}, got {list(half)}")
        self.search, self.k1, self.k2, self.weight = search, k1, k2, weight
        self.gallery_neighbors, self.released_rows, self.half = gallery_neighbors, released_rows, tuple(half)
        self.chosen_on = chosen_on

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        gallery = "" if self.gallery_neighbors is None else f", of them {self.gallery_neighbors} gallery"
        rows = ", released rows" if self.released_rows else ""
        half = f", {' and '.join(self.half)} in half precision" if self.half else ""
        return (
            f"modality-aware k-reciprocal ({self.search}, k1 {self.k1}, k2 {self.k2}{gallery}, weight"
            f" {self.weight:g}{rows}{half})"
        )

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = check_embeddings(queries, gallery)
        needed = max(self.k1 + 1, self.k2)
        if self.search == "divided" and len(queries) < needed:
            raise DataError(
                f"search 'divided' with k1 {self.k1} and k2 {self.k2} needs {needed} queries, got {len(queries)}"
            )
        if len(queries) == 0:
            return np.zeros((0, len(gallery)), queries.dtype)
        images, memory = len(queries) + len(gallery), self.memory(queries, gallery)
        total = images + len(queries)
        with rerank_progress(self.description, queries, gallery, total=total, unit="image", memory=memory) as advance:
            return self._rerank(queries, gallery, advance)

    def memory(self, queries: np.ndarray, gallery: np.ndarray) -> int:
        """Return the bytes needed at most in addition to the embeddings, estimated as in `KReciprocal`."""
        images = len(queries) + len(gallery)
        entry = 8 if np.float64 in (queries.dtype, gallery.dtype) else 4
        entries = images * max(self.k1, self.k2) * 60 * entry * (2 if self.search == "constrained" else 1)
        return entry * (images * queries.shape[1] + len(queries) * len(gallery) + 4 * BLOCK) + 40 * PAIRS + entries

    def _rerank(self, queries: np.ndarray, gallery: np.ndarray, advance: Callable[[int], object]) -> np.ndarray:
        distances, split = Distances(stack_embeddings(queries, gallery), half="distances" in self.half), len(queries)
        out = np.empty((split, len(gallery)), distances.squares.numpy().dtype)

        def keep(rows: slice, block: Tensor, furthest: Tensor) -> None:
            query_rows = out[rows]  # empty after the last query
            number = len(query_rows)
            query_rows[:] = distances.relative(block[:number, split:], furthest[:number]).numpy()
            advance(len(block))

        near = side_neighbors(distances, split, max(self.k1 + 1, self.k2), keep)
        codes = self._codes(distances, near)
        half = "weights" in self.half
        shared = [SharedWeight(one[:split], one[split:], half) for one in codes]
        out *= -self.weight
        step = max(1, BLOCK // max(out.shape[1], 1))
        for start in range(0, split, step):
            rows = slice(start, min(start + step, split))
            for one in shared:
                out[rows] -= (1 - self.weight) / len(shared) * one.jaccard(rows)
            advance(rows.stop - rows.start)
        return out

    def _codes(self, distances: Distances, near: SideNeighbors) -> list[Sparse]:
        """The encodings of all images; two tables for "constrained"."""
        inner, half, known = round(self.k1 / 2) + 1, "weights" in self.half, near.known()
        if self.search == "constrained":
            return [self._of_side(distances, near, known, side) for side in ("gallery", "queries")]
        if self.search == "divided":
            members, inner_sets = near.within("queries", self.k1 + 1), near.within("queries", inner)
            furthest, lists = near.furthest_query, near.queries[:, : self.k2]
        else:
            members = both_ways(indicator(near.merged(self.k1 + 1)))
            inner_sets = both_ways(indicator(near.merged(inner)))
            if self.search == "extended":
                members = members.maximum(near.across(self.k1 + 1)).tocsr()
            furthest, lists = near.furthest, near.merged(self.k2)
        codes = encode(distances, known, members, inner_sets, furthest, half)
        if self.gallery_neighbors is not None:
            of_gallery = self.gallery_neighbors
            lists = np.concatenate([near.queries[:, : self.k2 - of_gallery], near.gallery[:, :of_gallery]], axis=1)
        return [codes if self.k2 == 1 else mean_of(codes, lists, half)]

    def _of_side(self, distances: Distances, near: SideNeighbors, known: Neighbors, side: str) -> Sparse:
        """Encode all images over the images of one side."""
        half, inner = "weights" in self.half, round(self.k1 / 2) + 1
        of_side = np.arange(len(distances)) < near.split
        if side == "gallery":
            of_side, furthest, lists = ~of_side, near.furthest_gallery, near.gallery[:, : self.k2]
        else:
            furthest, lists = near.furthest_query, near.queries[:, : self.k2]
        others = _rows_of(near.across(self.k1 + 1), ~of_side)
        members = (near.within(side, self.k1 + 1) + others).tocsr()
        codes = encode(distances, known, members, near.within(side, inner), furthest, half)
        if self.k2 == 1:
            return codes
        if self.released_rows:
            lists = _released(lists, near.split, len(distances), side)
        return mean_of(codes, lists, half)


def side_neighbors(
    distances: Distances, split: int, k: int, on_block: Callable[[slice, Tensor, Tensor], None]
) -> SideNeighbors:
    """Find the k nearest queries and the k nearest gallery images of each image, block by block.

    Args:
        distances: All distances.
        split: Number of queries, which are the first rows.
        k: Number of neighbors on each side; a smaller side gives shorter lists.
        on_block: Called with each block of rows, its distances and the largest of each row, (b, 1).
    """
    number, blocks = len(distances), []
    sides = (slice(0, split), slice(split, number))
    for start in range(0, number, distances.step):
        block = distances.block(slice(start, start + distances.step))
        parts = [block[:, side] for side in sides]
        furthest = [part.amax(dim=1) for part in parts]
        on_block(slice(start, start + len(block)), block, torch.maximum(*furthest)[:, None])
        found = [top_k(-part, min(k, part.shape[1])) for part in parts]
        squared = torch.cat([-values for values, _ in found], dim=1)
        blocks.append((found[0][1], found[1][1] + split, squared, *furthest))
    columns = [torch.cat(column).numpy() for column in zip(*blocks)]
    return SideNeighbors(*columns, split=split)


def _rows_of(matrix: Sparse, kept: np.ndarray) -> Sparse:
    """The matrix with only these rows; kept (N,) bool."""
    return (sparse.diags(kept.astype(matrix.dtype)) @ matrix).tocsr()


def _released(lists: np.ndarray, split: int, number: int, side: str) -> np.ndarray:
    """Rows that the release reads: numbers within a side, used as rows of a table with the other side first."""
    if side == "gallery":
        return lists - split  # the table is queries, gallery, as here
    gallery = number - split
    return np.where(lists < gallery, lists + split, lists - gallery)
