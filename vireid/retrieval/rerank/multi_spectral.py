"""Multi-spectral enhanced ranking (MSER): k-reciprocal re-ranking over single channels of visible images."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vireid.core.errors import UserError
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.k_reciprocal import Half, KReciprocal


@RERANKERS.register
class MultiSpectral:
    """Re-rank by multi-spectral enhanced ranking (MSER): k-reciprocal encoding over four views of visible images.

    A visible image has four embeddings: of the image, and of the image with channel R, G or B alone in all channels.
    All views are rows of one k-reciprocal re-ranking without expanded sets (`KReciprocal`, `expand` False). The result
    for a query and a gallery image is the mean over its views. With queries and a gallery of one view each, only that
    re-ranking remains.

    Args:
        k1: Number of neighbors of which the mutual ones are kept, at most the number of query rows - 1 if `neighbors`
            is "queries".
        k2: Number of nearest rows over which an encoding is averaged; 1: none.
        weight: Weight of the original distance in the result.
        neighbors: Rows among which neighbors are searched: "all" (RegDB) or "queries" (SYSU-MM01).
        half: "weights" rounds encodings and Jaccard distances to half precision, as the release does.
        chosen_on: Data on which the values were chosen, such as "the test set": a condition of the results.

    Shape:
        queries (Q, D) or (V, Q, D), gallery (G, D) or (W, G, D) with V and W views -> (Q, G) float, larger is closer
        (minus the distance).

    Raises:
        UserError: As `KReciprocal`.
        DataError: For embeddings that are not finite.

    Source:
        Liang et al., "Bridging the Gap: Multi-level Cross-modality Joint Alignment for Visible-infrared Person
        Re-identification" (MCJA), TCSVT 2024; released code.

    Departs:
        As `KReciprocal`: sparse rows in blocks, float32 (float64 for float64 embeddings). With "queries" and fewer than
        k1 + 1 query rows, gallery rows follow in their order; their order in the release is arbitrary.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0]]), np.array([[[0.8, 0.6], [1.0, 0.1]], [[0.6, 0.8], [1.0, 0.2]]])
        >>> MultiSpectral(k1=2, k2=1)(queries, gallery).argmax(axis=1).tolist()
        [1]
    """

    transductive = "the gallery and the other queries"
    channel_views = True

    def __init__(
        self,
        *,
        k1: int = 40,
        k2: int = 20,
        weight: float = 0.3,
        neighbors: Literal["all", "queries"] = "queries",
        half: tuple[Half, ...] = (),
        chosen_on: str = "",
    ) -> None:
        self.inner = KReciprocal(k1=k1, k2=k2, weight=weight, neighbors=neighbors, expand=False, half=half)
        self.chosen_on = chosen_on

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        return f"multi-spectral (single channels of visible images; {self.inner.description})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        sides = [_with_views(name, rows) for name, rows in (("queries", queries), ("gallery", gallery))]
        scores = self.inner(*(rows.reshape(-1, rows.shape[-1]) for rows in sides))
        (of_query, number, _), (of_gallery, size, _) = (rows.shape for rows in sides)
        return scores.reshape(of_query, number, of_gallery, size).mean(axis=(0, 2))


def _with_views(name: str, rows: np.ndarray) -> np.ndarray:
    """The rows as (V, N, D)."""
    rows = np.asarray(rows)
    if rows.ndim not in (2, 3) or rows.shape[-1] == 0:
        raise UserError(f"{name} must be (N, D) embeddings or (views, N, D), got {rows.shape}")
    return rows if rows.ndim == 3 else rows[None]
