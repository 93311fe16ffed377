"""Layers and tensor functions without labels of a dataset, files or configuration."""

from vireid.layers import (
    attention,
    cross_stage,
    graph,
    init,
    non_local,
    norms,
    pairwise,
    parts,
    pooling,
    precision,
    processes,
    switch_norm,
)

__all__ = [
    "attention",
    "cross_stage",
    "graph",
    "init",
    "non_local",
    "norms",
    "pairwise",
    "parts",
    "pooling",
    "precision",
    "processes",
    "switch_norm",
]
