"""The model zoo: its rows, and that the committed page is what the command makes."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from vireid.core.errors import UserError
from vireid.zoo.catalogue import HEAD, Measured, Sources, cost_of, entries, line
from vireid.zoo.cost import Cost
from vireid.zoo.models import list_models
from vireid.zoo.published import Published, read_published

ROOT = Path(__file__).parents[3]
PUBLISHED = {
    "mmd/sysu": Published("README", "SYSU-MM01, RegDB", {"all/rank1": 60.0, "all/mAP": 55.5, "indoor/rank1": 1.0}),
    "t1/agw": Published("table 1", "SYSU-MM01", {"all/rank1": 40.0, "all/mAP": 41.0}),
    "t6/agw": Published("table 6", "SYSU-MM01, RegDB", {"regdb/v2i/rank1": 70.0, "regdb/v2i/mAP": 66.0}),
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sysu/mmd", "all 60.00 / 55.50 [1]"),
        ("regdb/mmd", "none"),
        ("sysu/agw", "all 40.00 / 41.00 [1]"),
        ("regdb/agw", "v2i 70.00 / 66.00 [1]"),
        ("llcm/agw", "none"),
        ("csv/mmd", "none"),
    ],
)
def test_published_numbers_are_of_the_data_set(name, text):
    assert Sources(PUBLISHED).text(name) == text


def test_sources_are_numbered_once():
    sources = Sources(PUBLISHED)
    texts = [sources.text(name) for name in ("sysu/agw", "sysu/mmd", "sysu/agw")]
    assert [text[-3:] for text in texts] == ["[1]", "[2]", "[1]"]
    assert sources.used == ["table 1", "README"]


def test_measured_numbers_come_from_results_on_synthetic_people(tmp_path):
    row = {"row": "mmd", "dataset": "sysu", "protocol": "all", "synthetic_people": True}
    scores = {"metrics": {"rank1": {"mean": 0.5}, "mAP": {"mean": 0.254}}}
    real = {**row, "row": "agw", "synthetic_people": False, **scores}
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"rows": [{**row, **scores}, real, {**row, "row": "hct", "metrics": {}}]}))
    measured = Measured.read(file)
    assert measured.text("sysu/mmd") == "all 50.0 / 25.4"
    assert measured.text("sysu/agw") == measured.text("sysu/hct") == "not measured"
    assert Measured.read(tmp_path / "absent.json").text("sysu/mmd") == "not measured"
    file.write_text("[]")
    with pytest.raises(UserError, match="not the results of a suite"):
        Measured.read(file)


@pytest.fixture(scope="module")
def found():
    measured = Measured.read(ROOT / "benchmarks" / "results" / "zoo" / "results.json")
    return entries(read_published(ROOT / "benchmarks" / "suites" / "reported.yml"), measured)


def without_costs(text: str) -> list[str]:
    return [cell.strip() for i, cell in enumerate(text.split("|")) if not 2 <= i <= 5]


def test_the_committed_page_has_every_model_with_its_numbers(found):
    """Everything but the costs; `tools/model_zoo.py` makes the page anew."""
    page = (ROOT / "MODEL_ZOO.md").read_text(encoding="utf-8")
    rows = {match[1]: match[0] for match in re.finditer(r"^\| \[(\S+)\].*$", page, flags=re.M)}
    assert page.startswith(HEAD), "run tools/model_zoo.py"
    assert sorted(rows) == list_models(), "run tools/model_zoo.py"
    for entry in found[0]:
        expected = line(entry, Cost(0, 0, 0, 0))
        assert without_costs(rows[entry.name]) == without_costs(expected), "run tools/model_zoo.py"
    assert page.endswith("".join(f"\n{number}. {source}" for number, source in enumerate(found[1], 1)) + "\n")


@pytest.mark.slow
def test_the_committed_costs_are_what_the_command_makes(found):
    """Those of SYSU-MM01: the other data sets have the same networks. `tools/model_zoo.py --check` looks at all."""
    page = (ROOT / "MODEL_ZOO.md").read_text(encoding="utf-8").splitlines()
    for entry in found[0]:
        if entry.name.startswith("sysu/"):
            assert line(entry, cost_of(entry)) in page, "run tools/model_zoo.py"


def test_the_command_says_whether_the_page_is_up_to_date(monkeypatch, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("model_zoo", ROOT / "tools" / "model_zoo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("vireid.zoo.catalogue.cost_of", lambda entry: Cost(1_000_000, 1, 1, 1))
    out = tmp_path / "zoo.md"
    assert module.main(["--check", "--out", str(out)]) == 1
    assert module.main(["--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith(HEAD.rstrip() + "\n\n## SYSU-MM01\n")
    assert module.main(["--check", "--out", str(out)]) == 0
    assert "up to date" in capsys.readouterr().out
