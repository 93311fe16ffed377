"""Rules that several releases share: their ResNet-50 and the non-local blocks of AGW."""

from __future__ import annotations

import re
from collections.abc import Callable

from vireid.interop.released.layout import Rule

# A release keeps complete networks; the tensors that are used are in a stage or in the stem.
STAGE = r"layer(\d)\.(.+)"
STEM = r"((?:conv1|bn1)\..+)"


def resnet(released: str, ours: str) -> tuple[Rule, Rule]:
    """Return the rules of a ResNet, from its released name (a pattern without groups) to its name in this package."""
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
    """Return the rules of AGW's non-local blocks, after the last two blocks of stage 2 and the last three of stage 3.

    The inner layers of a block are one layer in this package.
    """
    inner = r"(?P<share>theta|phi|g\.0)\.(?P<kind>\w+)"
    return (
        Rule(rf"{prefix}{_BLOCK}\.{inner}", _insert("inner"), shares=("theta", "phi", "g.0")),
        Rule(rf"{prefix}{_BLOCK}\.W\.0\.(?P<kind>\w+)", _insert("project")),
        Rule(rf"{prefix}{_BLOCK}\.W\.1\.(?P<kind>\w+)", _insert("norm")),
    )
