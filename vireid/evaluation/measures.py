"""The metrics as two functions for anybody's features or distances, without a model or a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vireid.core.errors import DataError, UserError
from vireid.evaluation.rules import rule_named
from vireid.retrieval.metrics import Scores, measure

ProtocolName = Literal["sysu", "regdb", "llcm"]


def evaluate_retrieval(
    query_features: ArrayLike | Tensor,
    gallery_features: ArrayLike | Tensor,
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cameras: ArrayLike | Tensor,
    gallery_cameras: ArrayLike | Tensor,
    protocol: ProtocolName = "sysu",
    ranks: Sequence[int] = (1, 5, 10, 20),
) -> Scores:
    """CMC, mAP and mINP of a published protocol from features, by cosine similarity.

    Shapes: (Q, D), (G, D), rows of any length: they are made unit here; ids and cameras (Q,) and (G,), cameras as the
    data set numbers them. float64 features are compared in float64, all others in float32.
    `protocol`: "sysu" (no camera 2 for queries of camera 3, CMC over identities), "regdb" (all count, CMC over images)
    or "llcm" (not the same person in the same camera, CMC over identities).
    Errors: a `UserError` (a ValueError) for shapes that do not fit, unknown protocols, features that are not finite.

    >>> features = np.eye(3)
    >>> scores = evaluate_retrieval(features, features, [1, 2, 3], [1, 2, 3], [6, 6, 6], [1, 2, 4], protocol="sysu")
    >>> scores.rank(1), scores.mean_ap, scores.mean_inp
    (1.0, 1.0, 1.0)
    """
    query, gallery = _unit_rows("query_features", query_features), _unit_rows("gallery_features", gallery_features)
    if query.shape[1] != gallery.shape[1]:
        raise UserError(f"query features are {query.shape[1]} wide, gallery features {gallery.shape[1]}")
    similarity = query @ gallery.T
    return _evaluate(
        similarity, query_ids, gallery_ids, query_cameras, gallery_cameras, protocol, ranks, larger_is_closer=True
    )


def evaluate_distances(
    distances: ArrayLike | Tensor,
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cameras: ArrayLike | Tensor,
    gallery_cameras: ArrayLike | Tensor,
    protocol: ProtocolName = "sysu",
    ranks: Sequence[int] = (1, 5, 10, 20),
) -> Scores:
    """The same from a matrix of distances (Q, G), smaller is closer; see `evaluate_retrieval`.

    Equal distances are ordered by gallery row. Infinite distances are allowed, NaN is an error.
    """
    matrix = _array(distances)
    return _evaluate(
        matrix, query_ids, gallery_ids, query_cameras, gallery_cameras, protocol, ranks, larger_is_closer=False
    )


def _evaluate(
    matrix: np.ndarray,
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cameras: ArrayLike | Tensor,
    gallery_cameras: ArrayLike | Tensor,
    protocol: str,
    ranks: Sequence[int],
    *,
    larger_is_closer: bool,
) -> Scores:
    rule = rule_named(protocol)
    if matrix.ndim != 2:
        raise UserError(f"distances must be a matrix (queries, gallery), got the shape {matrix.shape}")
    query = _of_side("query", 0, matrix, ids=query_ids, cameras=query_cameras)
    gallery = _of_side("gallery", 1, matrix, ids=gallery_ids, cameras=gallery_cameras)
    junk = rule.junk
    return measure(
        matrix,
        query[0],
        gallery[0],
        junk=None if junk is None else lambda rows: junk(query[0][rows], query[1][rows], *gallery),
        cmc=rule.cmc,
        ranks=ranks,
        larger_is_closer=larger_is_closer,
    )


def _array(values: ArrayLike | Tensor) -> np.ndarray:
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _of_side(side: str, axis: int, matrix: np.ndarray, **columns: ArrayLike | Tensor) -> list[np.ndarray]:
    """The columns as arrays, checked to have an entry for each row (axis 0) or column of the matrix."""
    arrays = [_array(values) for values in columns.values()]
    for name, values in zip(columns, arrays):
        if values.shape != matrix.shape[axis : axis + 1]:
            raise UserError(
                f"{side}_{name} must have one entry for each of the {matrix.shape[axis]} {side} images,"
                f" got the shape {values.shape}"
            )
    return arrays


def _unit_rows(name: str, values: ArrayLike | Tensor) -> np.ndarray:
    rows = _array(values)
    if rows.ndim != 2 or 0 in rows.shape:
        raise UserError(f"{name} must be a matrix (images, width) with entries, got the shape {rows.shape}")
    rows = rows.astype(np.float64 if rows.dtype == np.float64 else np.float32, copy=False)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))[:, 0]
    if bad.any():
        raise DataError(f"row {int(bad.argmax())} of {name} is zero or not finite ({int(bad.sum())} such rows)")
    return rows / length
