"""RLE: part baseline with a global branch; on RegDB without the last stage."""

from __future__ import annotations

from vireid.interop.released.layout import LAYER, Layout, Rule, register
from vireid.interop.released.resnet import TWO_STREAMS

BRANCHES = ("1", "2", "3", "g")  # the thirds and the whole map, in the order of the joined features

RLE = (
    *TWO_STREAMS,
    Rule(r"bottleneck1\.num_batches_tracked", "heads.parts.neck.num_batches_tracked"),
    Rule(r"bottleneck[23g]\.num_batches_tracked", None),  # stored once in this package
    Rule(r"bottleneck(?P<share>[123g])\.(\w+)", r"heads.parts.neck.\2", shares=BRANCHES),
    Rule(r"classifier(?P<share>[123])\.weight", r"heads.parts.part_classifier.weight", LAYER, shares=BRANCHES),
    Rule(r"classifierg\.weight", r"heads.parts.classifier.weight"),
)

register(Layout(model="rle", config="rle", rules=RLE))  # SYSU-MM01 and LLCM
register(Layout(model="rle_regdb", config="regdb/rle", rules=RLE, family="rle"))
