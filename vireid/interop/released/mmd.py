"""MMD-ReID."""

from __future__ import annotations

from vireid.interop.released.layout import Layout, register
from vireid.interop.released.resnet import NECK_AND_CLASSIFIER, TWO_STREAMS

register(Layout(model="mmd", config="mmd", rules=(*TWO_STREAMS, *NECK_AND_CLASSIFIER)))
