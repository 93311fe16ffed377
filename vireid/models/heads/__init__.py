"""Heads: from the map or the pooled vector to descriptors and scores."""

from vireid.models.heads import (
    attributes,
    identity,
    neck,
    part_attention,
    patterns,
    stripes,
)

__all__ = [
    "attributes",
    "identity",
    "neck",
    "part_attention",
    "patterns",
    "stripes",
]
