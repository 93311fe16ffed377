"""Evaluate embeddings or distances by a published protocol, without a model or a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vireid.core.arrays import embedding_matrix, l2_normalized_rows
from vireid.core.errors import UserError
from vireid.core.label_arrays import comparable_labels, label_array
from vireid.core.labels import shortened
from vireid.evaluation.junk import Rule, rule_named
from vireid.retrieval.metrics import Scores, measure

ProtocolName = Literal["sysu", "regdb", "llcm"]


def evaluate_retrieval(
    query_features: ArrayLike | Tensor,
    gallery_features: ArrayLike | Tensor,
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cameras: ArrayLike | Tensor | None = None,
    gallery_cameras: ArrayLike | Tensor | None = None,
    protocol: ProtocolName = "sysu",
    ranks: Sequence[int] = (1, 5, 10, 20),
) -> Scores:
    """Compute CMC, mAP and mINP of a published protocol from embeddings, by cosine similarity.

    Queries without a correct gallery image that is not ignored are in no mean; `Scores.skipped` is their number.

    Args:
        query_features: Embeddings (Q, D) of any norm; they are L2-normalized. float64 embeddings are compared in
            float64, all others in float32.
        gallery_features: Embeddings (G, D).
        query_ids: Identities (Q,): integers from 0, or names; text such as "0004" is the number 4.
        gallery_ids: Identities (G,); images of unknown identity may have negative numbers.
        query_cameras: Camera numbers (Q,) of the dataset; may be None for "regdb".
        gallery_cameras: Camera numbers (G,).
        protocol: "sysu": camera 2 is ignored for queries of camera 3, CMC over identities; queries of cameras 3 and 6,
            gallery of 1, 2, 4 and 5. "regdb": nothing is ignored, CMC over images. "llcm": images of the same identity
            in the same camera are ignored, CMC over identities; cameras 1 to 9.
        ranks: Ranks to print; the CMC curve reaches the largest.

    Raises:
        UserError: A ValueError, for shapes that do not fit, unknown protocols, embeddings that are not finite, unknown
            cameras, labels that cannot be compared, and if no query has a correct image.

    Example:
        >>> features = np.eye(3)
        >>> scores = evaluate_retrieval(features, features, [1, 2, 3], [1, 2, 3], [6, 6, 6], [1, 2, 4], protocol="sysu")
        >>> scores.rank(1), scores.mean_ap, scores.mean_inp
        (1.0, 1.0, 1.0)
    """
    query, gallery = _normalize("query_features", query_features), _normalize("gallery_features", gallery_features)
    if query.shape[1] != gallery.shape[1]:
        raise UserError(
            f"query_features have the width {query.shape[1]}, but gallery_features {gallery.shape[1]};"
            " both must be equal"
        )
    similarity = query @ gallery.T
    return _evaluate(
        similarity, query_ids, gallery_ids, query_cameras, gallery_cameras, protocol, ranks, larger_is_closer=True
    )


def evaluate_distances(
    distances: ArrayLike | Tensor,
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cameras: ArrayLike | Tensor | None = None,
    gallery_cameras: ArrayLike | Tensor | None = None,
    protocol: ProtocolName = "sysu",
    ranks: Sequence[int] = (1, 5, 10, 20),
) -> Scores:
    """Compute CMC, mAP and mINP from a matrix of distances (Q, G), smaller is closer; see `evaluate_retrieval`.

    Equal distances are ordered by gallery row. Infinite distances are allowed, NaN is an error.

    >>> evaluate_distances([[0.2, 0.1]], [1], [1, 2], protocol="regdb").mean_ap
    0.5
    """
    matrix = _array("distances", distances)
    return _evaluate(
        matrix, query_ids, gallery_ids, query_cameras, gallery_cameras, protocol, ranks, larger_is_closer=False
    )


def _evaluate(
    matrix: np.ndarray,
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cameras: ArrayLike | Tensor | None,
    gallery_cameras: ArrayLike | Tensor | None,
    protocol: str,
    ranks: Sequence[int],
    *,
    larger_is_closer: bool,
) -> Scores:
    rule = rule_named(protocol)
    if matrix.ndim != 2:
        raise UserError(f"distances must be a matrix (queries, gallery), got the shape {matrix.shape}")
    sides = ("query", query_ids, query_cameras), ("gallery", gallery_ids, gallery_cameras)
    for (side, ids, cameras), length in zip(sides, matrix.shape):
        _check_length(f"{side}_ids", side, ids, length)
        if rule.uses_cameras:
            _check_length(f"{side}_cameras", side, cameras, length)
    query, gallery = comparable_labels(("query_ids", query_ids), ("gallery_ids", gallery_ids), negative=(False, True))
    junk = rule.junk
    if junk is None:
        return measure(matrix, query, gallery, cmc=rule.cmc, ranks=ranks, larger_is_closer=larger_is_closer)
    query_camera_numbers = _cameras("query_cameras", query_cameras, rule, rule.query_cameras)
    gallery_camera_numbers = _cameras("gallery_cameras", gallery_cameras, rule, rule.gallery_cameras)
    return measure(
        matrix,
        query,
        gallery,
        junk=lambda rows: junk(query[rows], query_camera_numbers[rows], gallery, gallery_camera_numbers),
        cmc=rule.cmc,
        ranks=ranks,
        larger_is_closer=larger_is_closer,
    )


def _array(name: str, values: ArrayLike | Tensor) -> np.ndarray:
    """Real numbers as an array; UserError for text, objects, complex numbers, masked entries and sparse tensors."""
    if isinstance(values, Tensor):
        if values.layout is not torch.strided:
            raise UserError(f"{name} is a sparse tensor; give {name}.to_dense()")
        values = values.detach().cpu()
        narrow = values.dtype.is_floating_point and values.dtype not in (torch.float16, torch.float64)
        return (values.float() if narrow else values).numpy()
    if np.ma.is_masked(values):
        raise UserError(f"{name} has masked entries; fill them or leave these images out")
    try:
        array = np.asarray(values)
        if array.dtype == object and array.size:
            array = np.asarray(array.tolist())
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{name} is not a matrix of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise UserError(f"{name} holds values of the type {array.dtype}; give real numbers")
    return array


def _check_length(name: str, side: str, values: ArrayLike | Tensor | None, length: int) -> None:
    """Raise UserError unless there is one label for each row (or column) of the matrix."""
    if values is None:
        raise UserError(f"{name} are missing: this protocol needs one entry for each of the {length} {side} images")
    shape = tuple(values.shape) if isinstance(values, (np.ndarray, Tensor)) else _shape(values)
    if shape != (length,):
        raise UserError(f"{name} must have one entry for each of the {length} {side} images, got the shape {shape}")


def _shape(values: ArrayLike) -> tuple[int, ...]:
    try:
        return np.shape(values)  # type: ignore[arg-type]
    except ValueError:  # lists of different lengths
        return (len(values), -1)  # type: ignore[arg-type]


def _cameras(name: str, values: object, rule: Rule, known: tuple[int, ...]) -> np.ndarray:
    """Return camera numbers (N,) int64, checked by the rule."""
    cameras = label_array(name, values)
    if cameras.dtype.kind == "U":
        raise UserError(
            f"{name} holds names such as {shortened(str(cameras[0]))!r}; this protocol needs the camera numbers"
            f" {known}: {rule.numbering}"
        )
    rule.check_cameras(name, cameras, known)
    return cameras


def _normalize(name: str, values: ArrayLike | Tensor) -> np.ndarray:
    rows = embedding_matrix(name, _array(name, values))
    if len(rows) == 0:
        raise UserError(f"{name} must be a matrix (images, width) with entries, got the shape {rows.shape}")
    return l2_normalized_rows(name, rows)
