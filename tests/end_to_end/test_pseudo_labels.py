"""ADCA and PGM: training without identity labels, in two stages, exact after a resume, equal with two processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vireid.zoo.models import config_path

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "SIZE": "[64, 32]",
    "MODEL.BACKBONE.ARCH": "test_resnet",
    "MODEL.BACKBONE.PRETRAINED": False,
    "LABELS.K1": 8,
    "LABELS.K2": 3,
    "LABELS.EPS": 0.6,
    "SAMPLER.INSTANCES": 2,
    "SAMPLER.VISIBLE": 4,
    "SAMPLER.INFRARED": 4,
    "SAMPLER.STEPS": 2,
    "SOLVER.EPOCHS": 3,
    "TENSORBOARD": False,
    "KEEP_CHECKPOINTS": 3,
}


@pytest.fixture
def words(layouts, cache):
    """Command line of a small training into a folder."""

    def make(out: Path, method: str, *overrides: object) -> list[str]:
        layout, _, _ = method.partition("/")
        settings = SETTINGS | {"DATA.ROOT": layouts(layout), "CACHE_DIR": cache, "OUTPUT_DIR": out}
        settings |= dict(zip(overrides[::2], overrides[1::2], strict=True))
        pairs = [str(word) for pair in settings.items() for word in pair]
        return ["--config-file", str(config_path(method)), *pairs]

    return make


@pytest.fixture
def learn(words, run_tool):
    """Train a method small; --resume where the folder holds a run. Returns the exit code."""

    def run(out: Path, method: str, *overrides: object) -> int:
        return run_tool("train_net", "--resume", *words(out, method, *overrides))

    return run


def log(run: Path, event: str) -> list[dict]:
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


def weights(run: Path, epoch: int) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"epoch_{epoch:04d}" / "model.safetensors")


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pseudo_labels")


@pytest.fixture
def first_stage(folder, learn) -> Path:
    """Stage 1 of ADCA, trained once."""
    run = folder / "stage1"
    if not run.exists():
        assert learn(run, "sysu/adca_stage1") == 0
    return run


def test_each_epoch_records_clusters_and_their_agreement_with_identities(first_stage):
    records = log(first_stage, "labels")
    assert [record["epoch"] for record in records] == [1, 2, 3]
    for record in records:
        for modality in ("visible", "infrared"):
            assert record[f"{modality}/clusters"] >= 2
            assert record[f"{modality}/outliers"] >= 0
            assert -0.5 <= record[f"{modality}/ari"] <= 1
            assert -1 <= record[f"{modality}/ami"] <= 1
            assert 0 < record[f"{modality}/purity"] <= 1
    with np.load(first_stage / "labels.npz") as stored:
        assert stored["epoch"] == 3
        visible, infrared = (stored["labels"][stored["modality"] == modality] for modality in (0, 1))
    last = records[-1]
    assert set(visible) - {-1} == set(range(last["visible/clusters"]))
    assert (visible == -1).sum() == last["visible/outliers"]
    assert infrared.max() + 1 == last["visible/clusters"] + last["infrared/clusters"]
    terms = log(first_stage, "epoch")[0]
    assert {"contrast/visible", "contrast/infrared"} <= set(terms)


def test_a_run_in_pieces_equals_a_whole_one(first_stage, learn, tmp_path):
    pieces = tmp_path / "pieces"
    for epochs in (1, 3):
        assert learn(pieces, "sysu/adca_stage1", "SOLVER.EPOCHS", epochs) == 0
    for epoch in (1, 3):
        assert same_bits(weights(pieces, epoch), weights(first_stage, epoch))
    without_time = [[{**r, "seconds": 0} for r in log(run, "labels")] for run in (pieces, first_stage)]
    assert without_time[0] == without_time[1]


OTHER_IDENTITIES = '''
from dataclasses import replace
from vireid.core.registries import DATASETS
from vireid.data.datasets import SysuMM01

@DATASETS.register
class OtherIdentities(SysuMM01):
    """SYSU-MM01 with the training identities assigned again: no two images of a person keep one identity."""

    def train(self):
        samples = super().train()
        number = len({sample.identity for sample in samples})
        return [replace(sample, identity=row % number) for row, sample in enumerate(samples)]
'''


def test_identities_of_the_training_images_change_no_weight(first_stage, learn, tmp_path, monkeypatch):
    (tmp_path / "other_identities.py").write_text(OTHER_IDENTITIES)
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    assert learn(run, "sysu/adca_stage1", "DATA.NAME", "OtherIdentities", "IMPORTS", "[other_identities]") == 0
    ours, theirs = log(run, "labels")[0], log(first_stage, "labels")[0]
    assert ours["visible/clusters"] == theirs["visible/clusters"]
    assert ours["visible/purity"] != theirs["visible/purity"]  # the record compares with the other identities
    assert same_bits(weights(run, 3), weights(first_stage, 3))


@pytest.mark.parametrize("method", ["sysu/adca", "sysu/pgm", "regdb/pgm"])
def test_the_second_stage_starts_from_the_first(learn, folder, tmp_path, method, capsys):
    stage1, stage2 = folder / f"{method.replace('/', '_')}_stage1", tmp_path / "stage2"
    if not stage1.exists():
        assert learn(stage1, f"{method}_stage1", "SOLVER.EPOCHS", 1) == 0
    start = stage1 / "checkpoints" / "epoch_0001"
    settings = "WEIGHTS", start, "SOLVER.EPOCHS", 2
    assert learn(stage2, method, *settings) == 0
    number = "matched_clusters" if method.endswith("pgm") else "paired_clusters"
    records = log(stage2, "labels")
    assert all(record[number] >= 0 for record in records)
    if method.endswith("pgm"):
        assert records[0]["matched_clusters"] == records[0]["visible/clusters"] + records[0]["infrared/clusters"]
        assert "contrast/cross" in log(stage2, "epoch")[0]
    assert not same_bits(weights(stage2, 1), weights(stage1, 1))
    capsys.readouterr()


def test_a_run_that_started_from_weights_is_evaluated_itself(learn, words, run_tool, first_stage, tmp_path, capsys):
    run, settings = tmp_path / "run", ("WEIGHTS", first_stage / "checkpoints" / "epoch_0001", "SOLVER.EPOCHS", 1)
    assert learn(run, "sysu/adca", *settings) == 0
    trained = json.loads((run / "metrics.json").read_text())["results"]
    assert run_tool("train_net", "--eval-only", *words(run, "sysu/adca", *settings)) == 0
    assert "evaluating this run, which started from WEIGHTS" in capsys.readouterr().out
    assert json.loads((run / "metrics.json").read_text())["results"] == trained


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["SAMPLER.VISIBLE", 4000], "LABELS made"),
        (["LABELS.EPS", 0.001], "form no cluster with EPS 0.001"),
        (["LABELS.EPS", 1.5], "must be in (0, 1), got 1.5"),
        (["SAMPLER.VISIBLE", 5], "= 5 must be a multiple of INSTANCES = 2"),
        (["OBJECTIVE.ID.NAME", "IdentityCrossEntropy"], "needs 'logits', which nothing before it provides"),
        (["MODEL.HEADS.ID.NAME", "IdentityHead"], "needs the number of identities, which LABELS = DBSCANPseudoLabels"),
        (["MODEL.EMBEDDING", "[features, features_bn]"], "and DualContrast reads a field of 96"),
    ],
)
def test_mistakes_are_reported_without_a_traceback(learn, tmp_path, capsys, overrides, text):
    name, value = overrides
    assert learn(tmp_path / "run", "sysu/adca_stage1", name, value) == 2
    message = capsys.readouterr().err
    assert text in message
    assert "Traceback" not in message


def test_two_processes_have_the_clusters_of_one(words, first_stage, call, tmp_path):
    run = tmp_path / "run"
    settings = words(run, "sysu/adca_stage1", "SOLVER.EPOCHS", 1)
    done = call([sys.executable, str(ROOT / "tools" / "train_net.py"), "--num-gpus", "2", *settings])
    assert done.returncode == 0, done.stderr
    ours, theirs = log(run, "labels"), log(first_stage, "labels")[:1]
    assert [{**record, "seconds": 0} for record in ours] == [{**record, "seconds": 0} for record in theirs]
    (two,) = log(run, "epoch")
    assert {"contrast/visible", "contrast/infrared"} <= set(two)
