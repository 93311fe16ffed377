"""Rows of a comparison that was never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.suites.baseline import Compared
from vireid.suites.bootstrap import Difference
from vireid.suites.plan import SuitePlan
from vireid.suites.results import Entry, Results
from vireid.suites.suite import Row, Suite


def _entry(row, rank1, *, source="none", synthetic=False, way="none", failures=None):
    values = {"rank1": rank1, "mAP": [value / 2 for value in rank1]} if rank1 else {}
    conditions = {"attribute_source": source, "re_ranking": way, "protocol": "SYSU-MM01"} if rank1 else {}
    return Entry(row, "", "all", values, tuple(range(len(rank1))), conditions, synthetic, failures or {})


def _results(*entries, compared=()):
    rows = tuple(Row(name, ("x.yml",)) for name in dict.fromkeys(e.row for e in entries))
    suite = Suite(Path("s.yml"), "A & B", rows, {"": {}}, (0, 1), ("rank1", "mAP"), ())
    return Results(SuitePlan(suite, ()), entries, compared, {})


@pytest.fixture
def entry():
    return _entry


@pytest.fixture
def results():
    return _results


@pytest.fixture
def mixed():
    return _results(
        _entry("base_line", [0.5, 0.6]),
        _entry("ours", [0.62, 0.64]),
        _entry("cheat", [0.9, 0.92], source="labels"),
        _entry("lost", [], failures={0: "SAMPLER is wrong"}),
        compared=[
            Compared("ours", "base_line", "", "all", [Difference("rank1", 0.08, -0.01, 0.17, 100)]),
            Compared("lost", "base_line", "", "all", [], "a run has no queries.npz"),
        ],
    )
