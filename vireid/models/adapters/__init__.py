"""Adapters between backbone and heads: progressive attribute embedding (PAE) and its stages."""

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
