"""Pure layers and tensor functions: no labels of a data set, no files, no configuration."""

from vireid.layers import graph, init, non_local, norms, pairwise, parts, pooling, precision

__all__ = ["graph", "init", "non_local", "norms", "pairwise", "parts", "pooling", "precision"]
