"""Rules that several releases share: their ResNet-50 and what AGW puts around it."""

from __future__ import annotations

import re
from collections.abc import Callable

from vireid.interop.released.layout import Rule

# A release keeps whole networks; those tensors of them that run are where ours has them: a stage, or the stem.
STAGE = r"layer(\d)\.(.+)"
STEM = r"((?:conv1|bn1)\..+)"


def resnet(released: str, ours: str) -> tuple[Rule, Rule]:
    """A ResNet under a name of the release (a pattern without groups) and of ours (`backbone.shared`)."""
    return (Rule(rf"{released}\.{STAGE}", rf"{ours}.stage\1.\2"), Rule(rf"{released}\.{STEM}", rf"{ours}.stem.\1"))


TWO_STREAMS = (
    *resnet(r"visible_module\.visible", "backbone.visible"),
    *resnet(r"thermal_module\.thermal", "backbone.infrared"),
    *resnet(r"base_resnet\.base", "backbone.shared"),
)

NECK_AND_CLASSIFIER = (
    Rule(r"bottleneck\.(\w+)", r"heads.id.neck.\1"),
    Rule(r"classifier\.(\w+)", r"heads.id.classifier.\1"),
)

_FIRST = {"2": 2, "3": 3}  # the block of ResNet-50 that the first non-local block of the stage follows
_BLOCK = r"NL_(?P<stage>\d)\.(?P<number>\d+)"


def _insert(rest: str) -> Callable[[re.Match[str]], str]:
    def name(match: re.Match[str]) -> str:
        block = _FIRST[match["stage"]] + int(match["number"])
        return f"backbone.shared.stage{match['stage']}.{block}_insert.{rest}.{match['kind']}"

    return name


def non_local(prefix: str = "") -> tuple[Rule, ...]:
    """AGW's blocks after the last two of stage 2 and the last three of stage 3; their inner layers are one here."""
    inner = r"(?P<share>theta|phi|g\.0)\.(?P<kind>\w+)"
    return (
        Rule(rf"{prefix}{_BLOCK}\.{inner}", _insert("inner"), shares=("theta", "phi", "g.0")),
        Rule(rf"{prefix}{_BLOCK}\.W\.0\.(?P<kind>\w+)", _insert("project")),
        Rule(rf"{prefix}{_BLOCK}\.W\.1\.(?P<kind>\w+)", _insert("norm")),
    )
