"""A suite with EVALUATE_ON trains each model once and tests it on several datasets, also one of joined datasets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

SUITE = """
CONFIG: {config}
OVERRIDES: {{SOLVER.EPOCHS: 1, SAMPLER.STEPS: 2, TENSORBOARD: false, CACHE_DIR: {cache}}}
COLUMNS: [rank1, mAP]
PROTOCOLS: [all, v2i]
EVALUATE_ON:
  SYSU: {{CONFIG: configs/datasets/sysu.yml, DATA.ROOT: {sysu}}}
  RegDB: {{CONFIG: configs/datasets/regdb.yml, DATA.ROOT: {regdb}}}
ROWS:
  SYSU: {{DATA.ROOT: {sysu}}}
  joined:
    CONFIG: [{config}, {joined}]
    HELDOUT_IDENTITIES: 4
    SAMPLER.IDENTITIES: 4
    SAMPLER.SHARES: {{sysu: 3, regdb: 1}}
"""
JOINED = """
DATA:
  NAME: JoinedDatasets
  DATASETS:
    SYSU: {{NAME: SysuMM01, ROOT: {sysu}}}
    REGDB: {{NAME: RegDB, ROOT: {regdb}}}
SAMPLER: {{NAME: DatasetShareSampler, IDENTITIES: 4, PER_MODALITY: 4}}
"""


@pytest.fixture
def suite(layouts, cache, tmp_path):
    """A suite on copies of the layouts, so that a test can change them; and the words that run it."""
    places = {name: tmp_path / name for name in ("sysu", "regdb")}
    for name, place in places.items():
        shutil.copytree(layouts(name), place)
    (tmp_path / "joined.yml").write_text(JOINED.format(**places))
    config = Path(__file__).parent / "tiny.yml"
    text = SUITE.format(config=config, joined=tmp_path / "joined.yml", cache=cache, **places)
    (tmp_path / "cross.yml").write_text(text)
    return places, ["--suite", str(tmp_path / "cross.yml"), "--out", str(tmp_path / "out")]


def test_the_matrix_and_a_changed_test_dataset(suite, run_tool, train_in_process, tmp_path, capsys):
    places, words = suite
    out = tmp_path / "out"
    assert run_tool("benchmark", *words) == 0
    results = json.loads((out / "results.json").read_text())
    cells = {(row["row"], row["dataset"]): row for row in results["rows"]}
    assert {cell: row["protocol"] for cell, row in cells.items()} == {
        ("SYSU", "SYSU"): "all",
        ("SYSU", "RegDB"): "v2i",
        ("joined", "SYSU"): "all",
        ("joined", "RegDB"): "v2i",
    }
    crossed = {cell: row["conditions"].get("cross_dataset") for cell, row in cells.items()}
    assert {cell: text for cell, text in crossed.items() if text} == {("SYSU", "RegDB"): "trained on SysuMM01"}
    text = (out / "results.md").read_text()
    assert [line.count("‡") for line in text.splitlines() if line.startswith("| ")][1:] == [2, 0]
    assert "rows: trained on; columns: tested on" in text
    assert (out / "report.html").read_text().count(">cross-dataset</span>") == 2

    # The values of the diagonal are those of the evaluation after the training.
    run = next(each for each in results["runs"] if each["row"] == "SYSU")
    own = json.loads((out / "runs" / run["address"] / "metrics.json").read_text())["results"]["all"]["mean"]
    assert cells["SYSU", "SYSU"]["metrics"]["mAP"]["mean"] == pytest.approx(own["mAP"])

    capsys.readouterr()
    assert run_tool("benchmark", *words) == 0
    assert "evaluated" not in capsys.readouterr().out  # nothing is repeated

    index = places["regdb"] / "idx" / "test_visible_1.txt"
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:-1]))
    assert run_tool("benchmark", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(": evaluated") for line in lines) == 2
    assert sum("RegDB is evaluated again: the test listing changed" in line for line in lines) == 2
    assert not any(": started" in line for line in lines)  # nothing is trained


def test_wrong_targets(suite, run_tool, tmp_path, capsys):
    _, words = suite
    file = tmp_path / "cross.yml"
    text = file.read_text()
    file.write_text(text.replace("EVALUATE_ON:\n", "EVALUATE_ON:\n  A: {DATA.ROOT: x}\n  B: {CONFIG: x, SIZE: 1}\n"))
    assert run_tool("benchmark", *words, "--dry-run") == 2
    printed = capsys.readouterr()
    assert "EVALUATE_ON.A is not a map with CONFIG" in printed.err + printed.out
    assert "EVALUATE_ON.B.SIZE has no effect on an evaluation" in printed.err + printed.out
    file.write_text(text.replace("configs/datasets/regdb.yml", "configs/datasets/regbd.yml"))
    assert run_tool("benchmark", *words, "--dry-run") == 2
    printed = capsys.readouterr()
    assert "did you mean 'regdb.yml'" in printed.err + printed.out
