"""Score matrices, rankings and metrics: arrays in, numbers out; nothing here knows models or files."""

from vireid.retrieval import best, index, metrics, ranking, rerank, scorers
from vireid.retrieval.index import FaissFlat, FaissHNSW, FaissIVF, FaissIVFPQ, FaissIVFRefined, Milvus, TorchExact
from vireid.retrieval.metrics import QueryScores, Scores, measure, measure_queries
from vireid.retrieval.ranking import Ranking, rank_rows
from vireid.retrieval.rerank import DatabaseAugmentation, KReciprocal, QueryExpansion, RandomWalk
from vireid.retrieval.scorers import FaissScorer, TorchScorer

__all__ = [
    "DatabaseAugmentation",
    "FaissFlat",
    "FaissHNSW",
    "FaissIVF",
    "FaissIVFPQ",
    "FaissIVFRefined",
    "FaissScorer",
    "KReciprocal",
    "Milvus",
    "QueryExpansion",
    "QueryScores",
    "RandomWalk",
    "Ranking",
    "Scores",
    "TorchExact",
    "TorchScorer",
    "best",
    "index",
    "measure",
    "measure_queries",
    "metrics",
    "rank_rows",
    "ranking",
    "rerank",
    "scorers",
]
