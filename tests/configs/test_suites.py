"""Every shipped suite resolves, at full size and reduced; rows that are one config are one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.errors import ConfigError, UserError
from vireid.suites.figures import check_figures
from vireid.suites.plan import make_plan
from vireid.suites.published import published_numbers
from vireid.suites.reduced import read_reduction
from vireid.suites.suite import read_suite

FOLDER = Path(__file__).parents[2] / "benchmarks" / "suites"
SUITES = sorted(path for path in FOLDER.glob("*.yml") if path.stem.startswith(("table", "figure", "demo")))
LARGE = {"table6", "table1", "table5"}


def cases():
    for path in SUITES:
        yield pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LARGE else [])


@pytest.mark.parametrize("path", cases())
def test_every_row_resolves_and_every_published_row_exists(path, tmp_path):
    suite = read_suite(path)
    check_figures(suite)
    assert set(published_numbers(suite)) == set(suite.reported)
    plan = make_plan(suite, tmp_path, seeds=[0])
    assert len(plan.runs) == len(suite.rows) * len(suite.datasets)
    small = make_plan(suite, tmp_path, seeds=[0], reduced=read_reduction(FOLDER / "reduced.yml"))
    assert not set(plan.runs) & set(small.runs)
    assert {len(cell.protocols) for cell in plan.cells} <= {1, 2}


def test_there_are_suites_for_all_tables_and_figures():
    names = {path.stem for path in SUITES}
    assert {"table1", "table2", "table3", "table5", "table6"} <= names
    assert {"figure4", "figure5", "figure6", "figure7"} <= names


def test_suites_share_the_runs_that_are_the_same(tmp_path):
    addresses = [
        set(make_plan(read_suite(FOLDER / f"{n}.yml"), tmp_path, seeds=[0]).runs) for n in ("figure4", "table3")
    ]
    assert addresses[0] < addresses[1]


def test_a_faulty_reduction(tmp_path):
    file = tmp_path / "small.yml"
    file.write_text("SYNTETIC: {}\nSYNTHETIC:\n  sysu: {OUT: x, IDENTITIS: 4}\n  regdb: {OUT: y, LAYOUT: redgb}\n")
    with pytest.raises(ConfigError) as caught:
        read_reduction(file)
    assert [text.split(" (keys")[0] for text in caught.value.problems] == [
        "small.yml: SYNTETIC is not a key of a reduction; did you mean 'SYNTHETIC'?",
        "small.yml: SYNTHETIC.sysu: IDENTITIS is not a key of a synthetic dataset; did you mean 'IDENTITIES'?",
        "small.yml: SYNTHETIC.regdb: --layout must be one of sysu, regdb, llcm, got redgb",
    ]
    with pytest.raises(UserError, match=r"--reduced .*nowhere.yml: cannot be read"):
        read_reduction(tmp_path / "nowhere.yml")
