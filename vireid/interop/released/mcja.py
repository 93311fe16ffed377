"""MCJA: one stream, with modality distribution adapters after the last blocks of stages 2 and 3."""

from __future__ import annotations

import re

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.resnet import resnet

_FIRST = {"2": 2, "3": 3}  # the block of ResNet-50 that the first adapter of the stage follows
_LAYERS = {"sc_conv": "attend", "ca_conv": "combine", "ca_bn": "gate_norm", "norm_bn": "norm"}


_ADAPTER = r"MDA_(?P<stage>\d)\.(?P<number>\d+)"


def _insert(match: re.Match[str]) -> str:
    block = _FIRST[match["stage"]] + int(match["number"])
    return f"backbone.shared.stage{match['stage']}.{block}_insert.{_LAYERS[match['layer']]}.{match['kind']}"


MCJA = (
    Rule(rf"{_ADAPTER}\.sc_conv\.bias", None),  # without effect before the softmax over positions
    Rule(rf"{_ADAPTER}\.(?P<layer>\w+)\.(?P<kind>\w+)", _insert),
    *resnet("backbone", "backbone.shared"),
    Rule(r"bn_neck\.(\w+)", r"heads.id.neck.\1"),
    Rule(r"classifier\.weight", "heads.id.classifier.weight"),
)

register(Layout(model="mcja", config="mcja", rules=MCJA))  # SYSU-MM01: 2 maps
register(Layout(model="mcja_regdb", config="regdb/mcja", rules=MCJA, family="mcja"))  # 12 maps
