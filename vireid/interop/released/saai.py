"""SAAI: one stream. The classifiers of single modalities and their copies belong to a loss and are dropped."""

from __future__ import annotations

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.mpanet import ALLEVIATION, MUTUAL
from vireid.interop.released.resnet import resnet

HEAD = (
    Rule(r"attn_pool\.part_tokens", "heads.id.tokens"),
    Rule(r"attn_pool\.pos_embeding", "heads.id.positions"),
    Rule(r"bn_neck\.bn_neck_v\.(\w+)", r"heads.id.neck.visible.\1"),
    Rule(r"bn_neck\.bn_neck_i\.(\w+)", r"heads.id.neck.infrared.\1"),
    Rule(r"classifier\.weight", "heads.id.classifier.weight"),
)
SAAI = (*ALLEVIATION, *resnet("backbone", "backbone.shared"), *HEAD, *MUTUAL)

register(Layout(model="saai", config="saai", rules=SAAI))
register(Layout(model="saai_regdb", config="regdb/saai", rules=SAAI, family="saai"))  # without modality alleviation
