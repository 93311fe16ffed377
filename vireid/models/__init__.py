"""Backbones, pools, heads and the one network that joins them."""

from vireid.models import backbones, heads, net, pools

__all__ = ["backbones", "heads", "net", "pools"]
