"""Reference implementation of the retrieval metrics: plain loops, straight from the definitions.

`vireid.retrieval.metrics` computes the same values without loops and is tested against this module. Use this module to
read what a metric is, not to evaluate.

All functions take one query's gallery as a list of identities in the order of increasing distance; ignored (junk)
images are not in the list.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from vireid.retrieval.metrics import Cmc, QueryScores


def ranked_identities(distances: Sequence, gallery_ids: Sequence, junk: Sequence) -> list:
    """Sort the gallery of one query by distance, without ignored images; equal distances are ordered by gallery row.

    >>> ranked_identities([0.3, 0.1, 0.3, 0.2], [5, 6, 7, 8], [False, False, False, True])
    [6, 5, 7]
    """
    rows = [row for row in range(len(gallery_ids)) if not junk[row]]
    return [gallery_ids[row] for row in sorted(rows, key=lambda row: (distances[row], row))]


def correct_ranks(ranked: Sequence[Hashable], identity: Hashable) -> list[int]:
    """Ranks r_1 < ... < r_n (from 1) of the correct images, which have the identity of the query.

    >>> correct_ranks([5, 7, 6, 7], 7)
    [2, 4]
    """
    return [rank for rank, other in enumerate(ranked, start=1) if other == identity]


def first_correct(ranked: Sequence[Hashable], identity: Hashable, cmc: Cmc) -> int:
    """Rank of the first correct image ("image"), or of its identity among the distinct identities ("identity").

    The CMC curve at rank k is the share of queries for which this number is at most k.

    >>> first_correct([5, 5, 7, 7], 7, "image"), first_correct([5, 5, 7, 7], 7, "identity")
    (3, 2)
    """
    if cmc == "identity":
        ranked = list(dict.fromkeys(ranked))  # keeps the best image of each identity
    return correct_ranks(ranked, identity)[0]


def average_precision(ranked: Sequence[Hashable], identity: Hashable) -> float:
    """AP = 1/n sum over k of k / r_k: the mean of the precision at the rank of each correct image.

    >>> average_precision([7, 5, 7], 7)  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    ranks = correct_ranks(ranked, identity)
    return sum(k / rank for k, rank in enumerate(ranks, start=1)) / len(ranks)


def inverse_negative_penalty(ranked: Sequence[Hashable], identity: Hashable) -> float:
    """INP = n / r_n: the number of correct images divided by the rank of the last one.

    >>> inverse_negative_penalty([7, 5, 7], 7)  # 2 correct images, the last at rank 3
    0.6666666666666666
    """
    ranks = correct_ranks(ranked, identity)
    return len(ranks) / ranks[-1]


def measure_queries_reference(
    distances: np.ndarray, query_ids: np.ndarray, gallery_ids: np.ndarray, *, junk: np.ndarray, cmc: Cmc
) -> QueryScores:
    """Compute the metrics of each query; same result as `vireid.retrieval.metrics.measure_queries`.

    Shape:
        distances (Q, G), smaller is closer; query_ids (Q,); gallery_ids (G,); junk (Q, G) bool.
    """
    rows = []
    for row, identity in zip(range(len(query_ids)), query_ids.tolist()):
        ranked = ranked_identities(distances[row].tolist(), gallery_ids.tolist(), junk[row].tolist())
        ranks = correct_ranks(ranked, identity)
        if not ranks:
            rows.append((False, 0, 0.0, 0.0, 0.0))
            continue
        rows.append(
            (
                True,
                first_correct(ranked, identity, cmc),
                average_precision(ranked, identity),
                inverse_negative_penalty(ranked, identity),
                len(ranks) / len(ranked),
            )
        )
    return QueryScores(*(np.array(column) for column in zip(*rows)))
