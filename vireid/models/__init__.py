"""Networks for cross-modality re-identification: `CrossModalityNet`, backbones, pools, inserts, adapters and heads."""

from vireid.models.adapters import (
    ChannelGateStage,
    CrossAttentionStage,
    ProgressiveAttributeEmbedding,
    ReleasedPAE,
    SpatialAttentionStage,
)
from vireid.models.attribute_source import AttributeSource
from vireid.models.backbones import DiverseBackbone, TwoStreamBackbone, TwoStreamSwin, TwoStreamViT
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads import (
    AttributeClassifier,
    AttributeHead,
    GlobalPartHead,
    IdentityHead,
    JigsawHead,
    JoinedEmbedding,
    NeckHead,
    PartAttentionHead,
    PartTokenHead,
    PatternHead,
    StripeHead,
)
from vireid.models.inserts import ModalityAlleviation, ModalityDistribution
from vireid.models.pooling import AveragePool, ClassTokenPool, GeM, MaxPool

__all__ = [
    "AttributeClassifier",
    "AttributeHead",
    "AttributeSource",
    "AveragePool",
    "ChannelGateStage",
    "ClassTokenPool",
    "CrossAttentionStage",
    "CrossModalityNet",
    "DiverseBackbone",
    "GeM",
    "GlobalPartHead",
    "IdentityHead",
    "JigsawHead",
    "JoinedEmbedding",
    "MaxPool",
    "ModalityAlleviation",
    "ModalityDistribution",
    "NeckHead",
    "PartAttentionHead",
    "PartTokenHead",
    "PatternHead",
    "ProgressiveAttributeEmbedding",
    "ReleasedPAE",
    "SpatialAttentionStage",
    "StripeHead",
    "TwoStreamBackbone",
    "TwoStreamSwin",
    "TwoStreamViT",
]
