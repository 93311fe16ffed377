"""Heads: feature map or pooled features to embeddings and logits."""

from vireid.models.heads.attributes import AttributeClassifier, AttributeHead
from vireid.models.heads.global_parts import GlobalPartHead
from vireid.models.heads.identity import IdentityHead
from vireid.models.heads.jigsaw import JigsawHead
from vireid.models.heads.joined import JoinedEmbedding
from vireid.models.heads.neck import NeckHead
from vireid.models.heads.part_attention import PartAttentionHead
from vireid.models.heads.part_tokens import PartTokenHead
from vireid.models.heads.patterns import PatternHead
from vireid.models.heads.stripes import StripeHead

__all__ = [
    "AttributeClassifier",
    "AttributeHead",
    "GlobalPartHead",
    "IdentityHead",
    "JigsawHead",
    "JoinedEmbedding",
    "NeckHead",
    "PartAttentionHead",
    "PartTokenHead",
    "PatternHead",
    "StripeHead",
]
