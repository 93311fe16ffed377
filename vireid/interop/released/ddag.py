"""DDAG: two streams, one trunk, part attention. The layers of its graph belong to a loss and are dropped."""

from __future__ import annotations

from vireid.interop.released.layout import MATRIX, Layout, Rule, register
from vireid.interop.released.resnet import TWO_STREAMS

ATTENTION = (
    Rule(r"wpa\.fc1\.0\.weight", "heads.id.attention.query.weight", MATRIX),  # 1 x 1 convolutions
    Rule(r"wpa\.fc2\.weight", "heads.id.attention.key.weight", MATRIX),
    Rule(r"wpa\.fc3\.weight", "heads.id.attention.value.weight", MATRIX),
    Rule(r"wpa\.fc1\.0\.bias", "heads.id.attention.query.bias"),
    Rule(r"wpa\.fc2\.bias", None),  # adds a constant to a row of scores, which the softmax cancels
    Rule(r"wpa\.fc3\.bias", "heads.id.attention.value.bias"),
    Rule(r"wpa\.gate", "heads.id.attention.gate"),
    Rule(r"wpa\.bottleneck\.(\w+)", r"heads.id.attention.neck.\1"),
)
HEAD = (
    Rule(r"bottleneck\.(\w+)", r"heads.id.identity.neck.\1"),
    Rule(r"classifier\.(\w+)", r"heads.id.identity.classifier.\1"),
)
GRAPH = (Rule(r"(?:attention_\d|out_att)\.\w+", None),)

register(Layout(model="ddag", config="ddag", rules=(*TWO_STREAMS, *ATTENTION, *HEAD, *GRAPH)))
