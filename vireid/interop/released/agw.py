"""AGW, its plain baseline, and CAJ, whose network is AGW's."""

from __future__ import annotations

from vireid.interop.released.layout import Layout, register
from vireid.interop.released.resnet import NECK_AND_CLASSIFIER, TWO_STREAMS, non_local

AGW = (*TWO_STREAMS, *non_local(), *NECK_AND_CLASSIFIER)

register(Layout(model="agw", config="agw", rules=AGW))
register(Layout(model="agw_base", config="baseline", rules=(*TWO_STREAMS, *NECK_AND_CLASSIFIER)))
register(Layout(model="caj", config="caj", rules=AGW, keys="agw"))
