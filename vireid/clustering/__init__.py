"""Clustering of embeddings: labels for a training without identity labels."""

from vireid.clustering.aggregation import ClusterPairs, shared_pairs
from vireid.clustering.cluster import cluster_features
from vireid.clustering.dbscan import dbscan
from vireid.clustering.jaccard import jaccard_graph
from vireid.clustering.label_sources import AnnotatedLabels, DBSCANPseudoLabels
from vireid.clustering.matching import Matches, match_clusters
from vireid.clustering.quality import adjusted_mutual_information, adjusted_rand_index, purity

__all__ = [
    "AnnotatedLabels",
    "ClusterPairs",
    "DBSCANPseudoLabels",
    "Matches",
    "adjusted_mutual_information",
    "adjusted_rand_index",
    "cluster_features",
    "dbscan",
    "jaccard_graph",
    "match_clusters",
    "purity",
    "shared_pairs",
]
