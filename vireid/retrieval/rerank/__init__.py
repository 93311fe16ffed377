"""Re-ranking of query-gallery similarities."""

from vireid.retrieval.rerank.expansion import DatabaseAugmentation, QueryExpansion
from vireid.retrieval.rerank.k_reciprocal import KReciprocal
from vireid.retrieval.rerank.random_walk import RandomWalk

__all__ = [
    "DatabaseAugmentation",
    "KReciprocal",
    "QueryExpansion",
    "RandomWalk",
]
