"""Pure layers and tensor functions: no labels of a data set, no files, no configuration."""

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
