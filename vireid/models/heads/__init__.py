"""Heads: from the map or the pooled vector to descriptors and scores."""

from vireid.models.heads import identity, stripes

__all__ = ["identity", "stripes"]
