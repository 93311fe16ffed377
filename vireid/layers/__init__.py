"""Pure layers and tensor functions: no labels of a data set, no files, no configuration."""

from vireid.layers import init, norms, pairwise, pooling, precision

__all__ = ["init", "norms", "pairwise", "pooling", "precision"]
