"""Networks from images of two modalities to one feature map."""

from vireid.models.backbones import timm_stages, two_stream

__all__ = ["timm_stages", "two_stream"]
