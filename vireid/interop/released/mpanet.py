"""MPANet: one stream. The classifiers of single modalities and their copies belong to a loss and are dropped."""

from __future__ import annotations

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.resnet import resnet

_LAST = {"3": 5, "4": 2}  # the last block of the stage of ResNet-50, which the module follows

ALLEVIATION = tuple(
    Rule(
        rf"backbone\.MAM{stage}\.channel_attention\.{number}\.weight",
        f"backbone.shared.stage{stage}.{block}_insert.{layer}.weight",
    )
    for stage, block in _LAST.items()
    for number, layer in ((0, "squeeze"), (2, "excite"))
)
HEAD = (
    Rule(r"spatial_attention\.(\w+)", r"heads.id.masks.\1"),
    Rule(r"bn_neck\.(\w+)", r"heads.id.neck.\1"),
    Rule(r"classifier\.weight", "heads.id.classifier.weight"),
)
MUTUAL = (Rule(r"(visible|infrared)_classifier_?\.weight", None),)  # of losses.mutual.ModalityMutualLearning

register(
    Layout(
        model="mpanet", config="mpanet", rules=(*ALLEVIATION, *resnet("backbone", "backbone.shared"), *HEAD, *MUTUAL)
    )
)
