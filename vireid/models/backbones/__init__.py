"""Two-stream backbones: images of two modalities to one feature map."""

from vireid.models.backbones.diverse import DiverseBackbone
from vireid.models.backbones.two_stream import TwoStreamBackbone

__all__ = [
    "DiverseBackbone",
    "TwoStreamBackbone",
]
