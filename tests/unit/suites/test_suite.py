"""A suite is read whole, or refused with everything that is wrong with it."""

from __future__ import annotations

import pytest

from vireid.core.errors import ConfigError, UserError
from vireid.suites.published import published_numbers
from vireid.suites.suite import list_suites, read_suite
from vireid.zoo.shipped import SUITES, shipped_path


@pytest.fixture
def suite(tmp_path):
    def make(text: str):
        file = tmp_path / "mine.yml"
        file.write_text(text)
        return read_suite(file)

    return make


def test_rows_with_defaults(suite):
    found = suite("CONFIG: a.yml\nOVERRIDES: {X: 1, Y: 2}\nROWS:\n  one: {}\n  two: {CONFIG: [b.yml, c.yml], Y: 3}\n")
    assert [row.name for row in found.rows] == ["one", "two"]
    assert found.rows[0].configs == ("a.yml",)
    assert found.rows[0].overrides == {"X": 1, "Y": 2}
    assert found.rows[1].configs == ("b.yml", "c.yml")
    assert found.rows[1].overrides == {"X": 1, "Y": 3}
    assert (found.title, found.seeds, dict(found.datasets)) == ("mine", (0,), {"": {}})


def test_a_grid_is_every_combination(suite):
    found = suite(
        "GRID:\n  M: {A: {CONFIG: a.yml, K: 1}, B: {CONFIG: b.yml}}\n  P: {'': {}, '+ P': {CONFIG: p.yml, K: 2}}\n"
    )
    assert [row.name for row in found.rows] == ["A", "A + P", "B", "B + P"]
    assert found.rows[1].configs == ("a.yml", "p.yml")
    assert found.rows[1].overrides == {"K": 2}


def test_every_fault_at_once(suite):
    with pytest.raises(ConfigError) as caught:
        suite(
            "CONFIG: a.yml\nSEADS: [0]\nSEEDS: [0, x]\nCOLUMNS: [rnk1]\nCOMPARE: thre\nREPORTED: {on: t/x}\n"
            "TOLERANCE: 0\nROWS:\n  one: 3\n  three: {}\nFIGURES: {F: {}}\n"
        )
    assert [str(problem) for problem in caught.value.problems] == [
        "mine.yml:2: SEADS is not a key of a suite; did you mean 'SEEDS'?",
        "mine.yml:9: ROWS.one is not a map of overrides (KEY: value), with CONFIG if needed",
        "mine.yml:5: COMPARE = 'thre' is not a row; did you mean 'three'?",
        "mine.yml:6: REPORTED.on is not a row; did you mean 'one'?",
        "mine.yml:4: COLUMNS has 'rnk1', which is not a metric; did you mean 'rank1'?",
        "mine.yml:3: SEEDS = [0, 'x'] is not a list of integers of at least 0",
        "mine.yml:7: TOLERANCE = 0 is not a positive number (of percentage points)",
        "mine.yml:11: FIGURES.F is not a map with KIND",
    ]


def test_two_rows_with_one_name(suite):
    with pytest.raises(ConfigError, match=r"mine.yml:3: the key 'ROWS.a' is written twice \(first in line 2\)"):
        suite("ROWS:\n  a: {CONFIG: x.yml}\n  a: {CONFIG: y.yml}\n")
    with pytest.raises(ConfigError, match="GRID creates a second row named 'a'"):
        suite("CONFIG: x.yml\nROWS: {a: {}}\nGRID: {AXIS: {a: {}}}\n")


def test_no_rows_no_config_and_no_file(suite, tmp_path):
    with pytest.raises(ConfigError, match="ROWS and GRID are both missing or empty"):
        suite("TITLE: nothing\n")
    with pytest.raises(ConfigError, match=r"ROWS\.a has no CONFIG, and neither has the suite"):
        suite("ROWS: {a: {}}\n")
    with pytest.raises(UserError, match=r"mime.yml: the suite cannot be read .*did you mean 'mine.yml'"):
        read_suite(tmp_path / "mime.yml")


def test_shipped_suites_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"demo", "table1", "figure7", "zoo"} <= set(list_suites())
    assert not {"reported", "reduced"} & set(list_suites())
    found = read_suite("table1")
    assert found.file == shipped_path(SUITES) / "table1.yml"
    assert found.find("configs/sysu/mmd.yml") == (shipped_path("configs") / "sysu" / "mmd.yml").resolve()
    assert set(published_numbers(found)) == set(found.reported)
    with pytest.raises(UserError, match=r"tabel1: .*did you mean 'table1'\? \(shipped suites: "):
        read_suite("tabel1")


def test_a_file_precedes_a_shipped_suite_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table1").write_text("TITLE: local\nCONFIG: a.yml\nROWS: {a: {}}\n")
    assert read_suite("table1").title == "local"
    assert read_suite(tmp_path / "table1").title == "local"


def test_configs_of_the_current_folder_precede_shipped_ones_but_not_for_shipped_suites(suite, tmp_path, monkeypatch):
    local = tmp_path / "work" / "configs" / "sysu" / "mmd.yml"
    local.parent.mkdir(parents=True)
    local.write_text("")
    monkeypatch.chdir(tmp_path / "work")
    assert suite("CONFIG: configs/sysu/mmd.yml\nROWS: {a: {}}\n").find("configs/sysu/mmd.yml") == local.resolve()
    assert read_suite("table3").find("configs/sysu/mmd.yml") != local.resolve()
