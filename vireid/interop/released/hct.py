"""HCT: global (`hct`) and with six horizontal stripes (`hct_parts`, the published one)."""

from __future__ import annotations

from vireid.interop.released.layout import LAYER, Layout, Rule, register
from vireid.interop.released.resnet import NECK_AND_CLASSIFIER, TWO_STREAMS

STRIPES = (
    Rule(r"local_conv_list\.0\.1\.num_batches_tracked", "heads.parts.norm.num_batches_tracked"),
    Rule(r"local_conv_list\.\d\.1\.num_batches_tracked", None),  # stored once in this package
    Rule(r"local_conv_list\.(?P<share>\d)\.1\.(\w+)", r"heads.parts.norm.\2"),
    Rule(r"local_conv_list\.(?P<share>\d)\.0\.(\w+)", r"heads.parts.project.\2", LAYER),
    Rule(r"fc_list\.(?P<share>\d)\.(\w+)", r"heads.parts.classifier.\2", LAYER),
)

register(Layout(model="hct", config=None, rules=(*TWO_STREAMS, *NECK_AND_CLASSIFIER)))
register(Layout(model="hct_parts", config="hct", rules=(*TWO_STREAMS, *STRIPES)))
