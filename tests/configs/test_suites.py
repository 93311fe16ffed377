"""Every shipped suite passes the check, at full size and reduced; rows with equal configs share one run."""

from __future__ import annotations

import functools
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
SMALL = {"demo", "figure4", "table2"}  # of the quick tests


def cases():
    for path in SUITES:
        yield pytest.param(path, id=path.stem, marks=[] if path.stem in SMALL else [pytest.mark.slow])


@pytest.fixture(scope="module")
def plan_of(tmp_path_factory):
    """Name of a suite -> its plan with one seed, computed once."""
    folder = tmp_path_factory.mktemp("configs")
    return functools.cache(lambda name: make_plan(read_suite(FOLDER / f"{name}.yml"), folder, seeds=[0]))


@pytest.mark.parametrize("path", cases())
def test_every_row_resolves_and_every_published_row_exists(path, plan_of, tmp_path):
    suite = read_suite(path)
    check_figures(suite)
    assert set(published_numbers(suite)) == set(suite.reported)
    plan = plan_of(path.stem)
    assert len(plan.runs) == len(suite.rows) * len(suite.datasets)
    small = make_plan(suite, tmp_path, seeds=[0], reduced=read_reduction(FOLDER / "reduced.yml"))
    assert not set(plan.runs) & set(small.runs)
    assert {len(cell.protocols) for cell in plan.cells} <= {1, 2}


def test_there_are_suites_for_all_tables_and_figures():
    names = {path.stem for path in SUITES}
    assert {"table1", "table2", "table3", "table5", "table6"} <= names
    assert {"figure4", "figure5", "figure6", "figure7"} <= names


def test_equal_configs_of_two_suites_have_one_address(plan_of):
    assert set(plan_of("figure4").runs) < set(plan_of("table3").runs)


def test_a_faulty_reduction(tmp_path):
    file = tmp_path / "small.yml"
    file.write_text("SYNTETIC: {}\nSYNTHETIC:\n  sysu: {OUT: x, IDENTITIS: 4}\n  regdb: {OUT: y, LAYOUT: redgb}\n")
    with pytest.raises(ConfigError) as caught:
        read_reduction(file)
    assert [str(problem).split(" (keys")[0] for problem in caught.value.problems] == [
        "small.yml: SYNTETIC is not a key of a reduction; did you mean 'SYNTHETIC'?",
        "small.yml: SYNTHETIC.sysu: IDENTITIS is not a key of a synthetic dataset; did you mean 'IDENTITIES'?",
        "small.yml: SYNTHETIC.regdb: --layout must be one of sysu, regdb, llcm, got redgb",
    ]
    with pytest.raises(UserError, match=r"--reduced .*nowhere.yml: cannot be read"):
        read_reduction(tmp_path / "nowhere.yml")
