"""Heads: from the map or the pooled vector to descriptors and scores."""

from vireid.models.heads import identity, part_attention, stripes

__all__ = ["identity", "part_attention", "stripes"]
