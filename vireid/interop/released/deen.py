"""DEEN: two stems, one trunk with aggregation of stages, and the expansion before its last stage."""

from __future__ import annotations

import re

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.resnet import NECK_AND_CLASSIFIER, TWO_STREAMS

_BLOCKS = {"CNL": "channel", "PNL": "position"}
_LAYERS = {"theta": "query", "phi": "key", "g": "value", "W.0": "project", "W.1": "norm"}


def _aggregation(match: re.Match[str]) -> str:
    block = f"backbone.aggregate.stage{match['stage']}.{_BLOCKS[match['block']]}"
    return f"{block}.{_LAYERS[match['layer']]}.{match['kind']}"


def _dilated(match: re.Match[str]) -> str:
    branch, number = int(match["branch"]) - 1, int(match["number"]) - 1
    return f"backbone.expand.branches.{branch}.dilated.{number}.weight"


DEEN = (
    *TWO_STREAMS,
    Rule(r"MFA(?P<stage>\d)\.(?P<block>CNL|PNL)\.(?P<layer>theta|phi|g|W\.0|W\.1)\.(?P<kind>\w+)", _aggregation),
    Rule(r"DEE\.FC(?P<branch>\d)(?P<number>\d)\.weight", _dilated),
    Rule(r"DEE\.FC(\d)\.(\w+)", lambda match: f"backbone.expand.branches.{int(match[1]) - 1}.widen.{match[2]}"),
    *NECK_AND_CLASSIFIER,
)

register(Layout(model="deen", config="deen", rules=DEEN))  # SYSU-MM01 and LLCM
register(Layout(model="deen_regdb", config="regdb/deen", rules=DEEN, family="deen"))
