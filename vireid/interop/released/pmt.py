"""PMT: a ViT-B/16 for both modalities, with timm's parameter names under `base`."""

from __future__ import annotations

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.resnet import NECK_AND_CLASSIFIER

TRANSFORMER = (
    Rule(r"base\.(cls_token|pos_embed)", r"backbone.shared.embed.\1"),
    Rule(r"base\.patch_embed\.proj\.(\w+)", r"backbone.shared.embed.proj.\1"),
    Rule(r"base\.blocks\.(\d+)\.(.+)", r"backbone.shared.block\1.block.\2"),
    Rule(r"base\.norm\.(\w+)", r"backbone.shared.norm.\1"),
)

register(
    Layout(
        model="pmt",
        config="pmt",
        rules=(*TRANSFORMER, *NECK_AND_CLASSIFIER),
        given={"backbone.trained_cameras": ()},  # the release has no side information
    )
)
