"""Networks from images of two modalities to one feature map."""

from vireid.models.backbones import diverse, timm_stages, two_stream

__all__ = ["diverse", "timm_stages", "two_stream"]
