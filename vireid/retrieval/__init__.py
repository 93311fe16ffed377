"""Similarities, rankings, metrics, indexes and re-ranking: arrays in, arrays out."""

from vireid.retrieval.index import FaissFlat, FaissHNSW, FaissIVF, FaissIVFPQ, FaissIVFRefined, Milvus, TorchExact
from vireid.retrieval.metrics import QueryScores, Scores, measure, measure_queries
from vireid.retrieval.ranking import Ranking, rank_rows
from vireid.retrieval.rerank import (
    AffinityInference,
    DatabaseAugmentation,
    KReciprocal,
    ModalityKReciprocal,
    QueryExpansion,
    RandomWalk,
)
from vireid.retrieval.similarity import Similarity

__all__ = [
    "AffinityInference",
    "DatabaseAugmentation",
    "FaissFlat",
    "FaissHNSW",
    "FaissIVF",
    "FaissIVFPQ",
    "FaissIVFRefined",
    "KReciprocal",
    "Milvus",
    "ModalityKReciprocal",
    "QueryExpansion",
    "QueryScores",
    "RandomWalk",
    "Ranking",
    "Scores",
    "Similarity",
    "TorchExact",
    "measure",
    "measure_queries",
    "rank_rows",
]
