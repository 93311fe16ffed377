"""Backbones, pools, adapters, heads and the one network that joins them."""

from vireid.models import (
    adapters,
    attribute_source,
    backbones,
    heads,
    inserts,
    net,
    pools,
)

__all__ = [
    "adapters",
    "attribute_source",
    "backbones",
    "heads",
    "inserts",
    "net",
    "pools",
]
