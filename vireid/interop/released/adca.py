"""ADCA and PGM: networks of training without identity labels. Their classifier of 1000 classes is never used."""

from __future__ import annotations

from vireid.interop.released.layout import Layout, Rule, register
from vireid.interop.released.resnet import TWO_STREAMS, non_local

NECK = Rule(r"bottleneck\.(\w+)", r"heads.id.neck.\1")
UNUSED = (r"classifier\.weight",)

register(Layout(model="adca", config="adca", rules=(*TWO_STREAMS, NECK), dead=UNUSED, keys="agw_base", annotated=False))
register(
    Layout(
        model="pgm", config="pgm", rules=(*TWO_STREAMS, *non_local(), NECK), dead=UNUSED, keys="agw", annotated=False
    )
)
