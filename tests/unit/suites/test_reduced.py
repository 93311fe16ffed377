"""What a reduction adds to a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.errors import ConfigError
from vireid.suites.plan import make_plan
from vireid.suites.reduced import Reduction, read_reduction
from vireid.suites.suite import read_suite

CONFIGS = Path(__file__).parents[3] / "configs" / "sysu"
ROWS = """ROWS:
  no attributes: {{CONFIG: {0}/mmd.yml}}
  this head: {{CONFIG: {0}/mmd_aal.yml}}
  another head: {{CONFIG: {0}/attr.yml}}
"""


def test_components_are_changed_only_where_a_row_has_them(tmp_path):
    (tmp_path / "s.yml").write_text(ROWS.format(CONFIGS))
    reduced = Reduction(components={"MODEL.HEADS.ATTRIBUTES": {"NAME": "AttributeHead", "NECK": True}})
    plain, changed = (make_plan(read_suite(tmp_path / "s.yml"), tmp_path, reduced=r) for r in (None, reduced))
    assert [a == b for a, b in zip(plain.runs, changed.runs, strict=True)] == [True, False, True]
    keys = [run.overrides.get("MODEL.HEADS.ATTRIBUTES.NECK") for run in changed.runs.values()]
    assert keys == [None, True, None]


def test_components_need_a_name(tmp_path):
    (tmp_path / "r.yml").write_text("COMPONENTS: {MODEL.HEADS.ATTRIBUTES: {NECK: true}}\n")
    with pytest.raises(ConfigError, match=r"COMPONENTS\.MODEL\.HEADS\.ATTRIBUTES is not a map with NAME"):
        read_reduction(tmp_path / "r.yml")
