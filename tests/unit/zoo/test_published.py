"""The committed file of published numbers, and how a broken one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vireid.core.errors import ConfigError
from vireid.zoo.models import list_models
from vireid.zoo.published import read_published

FILE = Path(__file__).parents[3] / "benchmarks" / "suites" / "reported.yml"
METRICS = {"rank1", "rank10", "rank20", "mAP", "mINP"}


@pytest.fixture(scope="module")
def published():
    return read_published(FILE)


def test_every_table_of_the_paper_is_whole(published):
    rows = {f"table{n}": sum(key.startswith(f"table{n}/") for key in published) for n in range(1, 7)}
    assert rows == {"table1": 23, "table2": 21, "table3": 4, "table4": 4, "table5": 4, "table6": 10}


def test_every_method_with_published_numbers_of_its_own_is_there(published):
    own = {key.split("/")[0] for key in published if not key.startswith("table")}
    methods = "adca agw caj ddag deen hct mce mcja_mser mclnet mmd mpanet pgm pmt rle saai_aim"
    assert own == set(methods.split())


def test_names_of_scores(published):
    pattern = r"((sysu|regdb|llcm)/)?(all|indoor|v2i|i2v|released_v2i)/(\w+)"
    for key, row in published.items():
        for name in row.scores:
            match = re.fullmatch(pattern, name)
            assert match, (key, name)
            assert match[4] in METRICS, (key, name)


def test_scores_of_one_row_fit_together(published):
    """A digit that was copied wrongly often shows so."""
    for key, row in published.items():
        for name, value in row.scores.items():
            place = name.removesuffix("/rank1")
            ranks = [value, row.scores.get(f"{place}/rank10", 100), row.scores.get(f"{place}/rank20", 100)]
            assert place == name or ranks == sorted(ranks), (key, ranks)
            assert row.scores.get(f"{place}/mINP", 0) <= row.scores.get(f"{place}/mAP", 100), key


def test_tables_that_repeat_a_number_repeat_the_same(published):
    """Tables 1, 2, 3, 5 and 6 show some rows again."""
    assert published["table3/mmd_pae_aal"].scores == published["table5/emb1_emb2_emb3"].scores
    assert published["table3/mmd_aal"].scores == published["table5/aal"].scores
    for method in ("agw", "ddag", "mpanet", "hct", "mmd"):
        plugged = published[f"table6/{method}"].scores
        alone = published[f"table1/{method}"].scores
        assert all(plugged[f"sysu/{name}"] == alone[name] for name in ("all/rank1", "all/mAP", "indoor/mAP"))


def test_rows_of_plug_ins_are_called_as_configs(published):
    ours = {name.split("/")[1] for name in list_models()}
    rows = {key.split("/")[1] for key in published if key.startswith(("table3/", "table6/"))}
    assert {"mmd", "mmd_pae", "mmd_aal", "mmd_pae_aal", "agw_pae_aal", "hct_pae_aal"} <= rows & ours


def test_everything_wrong_with_a_file_is_said(tmp_path):
    file = tmp_path / "reported.yml"
    file.write_text("a: {source: x, rows: {}}\nb: {source: x, data: y, rows: {r: {all/mAP: 101}, s: [1]}}\n")
    with pytest.raises(ConfigError) as error:
        read_published(file)
    problems = error.value.problems
    assert [problem.key for problem in problems] == ["a", "b/r", "b/s"]
    assert {problem.place for problem in problems} == {"reported.yml"}
    assert "source, data and rows" in problems[0].text
