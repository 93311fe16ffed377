"""PAENet: MMD-ReID's network with the released form of PAE between backbone and neck.

Unused, although the key list marks them as used (their gradients are rounding): Emb2, which attends over a 1 x 1 map
and returns its input; the fusion block; the classifier of MMD-ReID.
"""

from __future__ import annotations

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.resnet import TWO_STREAMS

ADAPTER = (
    Rule(r"bottleneck\.(\w+)", r"adapter.neck.\1"),
    Rule(r"cross_transformer1\.mlp\.(.+)", r"adapter.cross_encoder.\1"),
    Rule(r"cross_transformer1\.(.+)", r"adapter.cross_encoder.\1"),
    Rule(r"ASENet\.mask_fc2\.(\w+)", r"adapter.gate.embed.\1"),
    Rule(r"ASENet\.(fc[12])\.(\w+)", r"adapter.gate.\1.\2"),
    Rule(r"region\.bn\.(\w+)", r"adapter.region.bn.\1"),
)
HEADS = (
    Rule(r"region\.bottleneck\.(\w+)", r"heads.id.neck.\1"),
    Rule(r"class_8\.classifier\.0\.(\w+)", r"heads.id.classifier.\1"),
    Rule(r"class_(?P<share>[0-7])\.classifier\.0\.weight", "heads.attributes.classifier.weight"),
)

register(
    Layout(
        model="paenet",
        config="paenet_released",
        rules=(*TWO_STREAMS, *ADAPTER, *HEADS),
        dead=(r"ASENet\.(conv1|conv2|mask_fc1)\..*", r"attrfea\..*", r"classifier\.weight"),
        given={"attributes.prior": (0.5,) * 8},  # the training mean, which the release does not store
    )
)
