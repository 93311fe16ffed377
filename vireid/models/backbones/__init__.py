"""Two-stream backbones: images of two modalities to one feature map."""

from vireid.models.backbones.diverse import DiverseBackbone
from vireid.models.backbones.two_stream import TwoStreamBackbone
from vireid.models.backbones.two_stream_swin import TwoStreamSwin
from vireid.models.backbones.two_stream_vit import TwoStreamViT

__all__ = [
    "DiverseBackbone",
    "TwoStreamBackbone",
    "TwoStreamSwin",
    "TwoStreamViT",
]
