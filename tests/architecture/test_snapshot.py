"""The public API is the one that `api.txt` lists."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("api_snapshot", Path(__file__).with_name("snapshot.py"))
assert _spec is not None
snapshot = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(snapshot)


def test_the_public_api_is_unchanged():
    stored = snapshot.FILE.read_text(encoding="utf-8")
    changes = difflib.unified_diff(stored.splitlines(), snapshot.current().splitlines(), "api.txt", "code", "", "", 0)
    text = "\n".join(changes)
    assert not text, f"the public API has changed; if this is intended, run `make snapshot`:\n{text}"


def test_the_snapshot_has_names_signatures_and_registered_classes():
    lines = snapshot.current().splitlines()
    assert "vireid.losses.HeteroCenterTriplet" in lines
    assert "LOSSES.HeteroCenterTriplet(*, margin: float = 0.3)" in lines
    assert "POOLS.AveragePool()" in lines, "nn.Module's own parameters are not part of the API"
    assert [line for line in lines if line.startswith("vireid.evaluation.evaluate_retrieval(")]


def function(first: int, /, *rows: Sequence[int], limit="a", key=len, then=snapshot.current, **rest) -> str | None: ...


class Parent:
    def __init__(self, *, second: str = "a") -> None: ...


class Child(Parent): ...


class Inherited(dict): ...


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            function,
            "(first: int, /, *rows: Sequence[int], limit='a', key=<built-in function len>, then=current, **rest)"
            " -> str | None",
        ),
        (Child, "(*, second: str = 'a')"),
        (Inherited, "()"),
    ],
)
def test_signatures_are_written_as_in_the_source(target, expected):
    assert snapshot.signature(target) == expected
