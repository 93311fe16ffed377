"""MCE: one stream with AGW's non-local blocks. Its memories belong to a loss, its classifier to an option: dropped."""

from __future__ import annotations

import torch

from vireid.interop.released.layout import Form, Layout, Rule, register
from vireid.interop.released.resnet import non_local, resnet

LOGARITHM = Form(torch.log, lambda ours, rest: ours.exp())  # of the exponent of the pool

register(
    Layout(
        model="mce",
        config="mce",
        rules=(
            Rule(r"backbone\.pool\.p", "pool.log_p", LOGARITHM),
            *non_local(r"backbone\."),
            *resnet("backbone", "backbone.shared"),
            Rule(r"bn_neck\.(\w+)", r"heads.id.neck.\1"),
            Rule(r"memory(_\w+)?\.features|classifier\.weight", None),
        ),
        also={"classifier.weight": (395, 2048)},  # trained with --nce
    )
)
