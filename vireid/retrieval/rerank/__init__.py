"""Re-ranking of query-gallery similarities."""

from vireid.retrieval.rerank.affinity import AffinityInference
from vireid.retrieval.rerank.expansion import DatabaseAugmentation, QueryExpansion
from vireid.retrieval.rerank.k_reciprocal import KReciprocal
from vireid.retrieval.rerank.modality_k_reciprocal import ModalityKReciprocal
from vireid.retrieval.rerank.multi_spectral import MultiSpectral
from vireid.retrieval.rerank.random_walk import RandomWalk

__all__ = [
    "AffinityInference",
    "DatabaseAugmentation",
    "KReciprocal",
    "ModalityKReciprocal",
    "MultiSpectral",
    "QueryExpansion",
    "RandomWalk",
]
