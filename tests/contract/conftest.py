"""Skip parts that need a newer version of a library than the oldest one that setup.py allows."""

from __future__ import annotations

import pytest

NEEDS = {"TwoStreamSwin": ("timm", "1.0.12")}


@pytest.fixture(autouse=True)
def _newer_libraries(request):
    entry = getattr(request.node, "callspec", None) and request.node.callspec.params.get("entry")
    name = getattr(entry, "name", "")
    if name in NEEDS:
        library, version = NEEDS[name]
        pytest.importorskip(library, minversion=version)
