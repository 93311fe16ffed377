"""Pure layers and tensor functions: no labels of a data set, no files, no configuration."""

from vireid.layers import init, non_local, norms, pairwise, parts, pooling, precision

__all__ = ["init", "non_local", "norms", "pairwise", "parts", "pooling", "precision"]
