"""Re-ranking: other similarities of queries and gallery, from the neighbours that they have."""

from vireid.retrieval.rerank import distances, expansion, k_reciprocal, random_walk, sides
from vireid.retrieval.rerank.expansion import DatabaseAugmentation, QueryExpansion
from vireid.retrieval.rerank.k_reciprocal import KReciprocal
from vireid.retrieval.rerank.random_walk import RandomWalk

__all__ = [
    "DatabaseAugmentation",
    "KReciprocal",
    "QueryExpansion",
    "RandomWalk",
    "distances",
    "expansion",
    "k_reciprocal",
    "random_walk",
    "sides",
]
