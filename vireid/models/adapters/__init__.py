"""Adapters between backbone and heads; PAENet's progressive attribute embedding is one of them."""

from vireid.models.adapters.progressive import ProgressiveAttributeEmbedding
from vireid.models.adapters.released import ReleasedPAE
from vireid.models.adapters.stages import ChannelGateStage, CrossAttentionStage, SpatialAttentionStage

__all__ = [
    "ChannelGateStage",
    "CrossAttentionStage",
    "ProgressiveAttributeEmbedding",
    "ReleasedPAE",
    "SpatialAttentionStage",
]
