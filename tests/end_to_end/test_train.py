"""A run from config to numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import vireid

CONFIG = Path(__file__).parent / "tiny.yml"


def log(run, event):
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


def results(run):
    return json.loads((run / "metrics.json").read_text())["results"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "run"


def test_training_lowers_the_loss_and_leaves_results_with_their_conditions(train, finished, capsys):
    assert train(finished, "SOLVER.EPOCHS", 4, "SAMPLER.STEPS", 8) == 0
    losses = [record["loss"] for record in log(finished, "epoch")]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    found = results(finished)
    assert list(found) == ["all", "indoor"]
    conditions = found["all"]["conditions"]
    assert conditions["protocol"] == "SYSU-MM01"
    assert conditions["direction"] == "infrared to visible"
    assert conditions["mode"] == "all"
    assert conditions["trials"] == 10
    assert conditions["checkpoint"] == "last epoch (4)"
    assert conditions["attribute_source"] == "none"
    assert conditions["re_ranking"] == "none"
    assert len(found["all"]["trials"]) == 10
    printed = capsys.readouterr().out
    assert "rank-1" in printed
    assert f"{100 * found['all']['mean']['rank1']:.1f}" in printed


def test_evaluating_the_run_again_gives_the_same_numbers(train, finished):
    before = results(finished)
    (finished / "metrics.json").unlink()
    assert train(finished, "--eval-only") == 0
    assert results(finished) == before


def test_faiss_gives_the_same_metrics(train, finished):
    pytest.importorskip("faiss")
    before = results(finished)
    assert train(finished, "--eval-only", "SIMILARITY.BACKEND", "faiss") == 0
    after = results(finished)
    for mode in before:
        assert after[mode]["mean"] == pytest.approx(before[mode]["mean"], abs=1e-6)


@pytest.mark.parametrize("mode", ["unit", "sum"])
def test_mirror_images_take_part_where_they_are_asked_for_and_results_say_so(train, finished, tmp_path, capsys, mode):
    weights = finished / "checkpoints" / "epoch_0004"
    assert train(tmp_path, "--eval-only", "WEIGHTS", weights, "FLIP_TEST", mode) == 0
    assert results(tmp_path)["all"]["mean"] != results(finished)["all"]["mean"]
    assert results(tmp_path)["all"]["conditions"]["flipped_images"] == f"added ({mode})"
    assert f"flipped images added ({mode})" in capsys.readouterr().out


def test_a_checkpoint_folder_or_a_weights_file_can_be_evaluated_elsewhere(train, finished, tmp_path):
    weights = finished / "checkpoints" / "epoch_0004"
    for path in (weights, weights / "model.safetensors"):
        assert train(tmp_path, "--eval-only", "WEIGHTS", path) == 0
        assert results(tmp_path)["all"]["mean"] == results(finished)["all"]["mean"]
        assert results(tmp_path)["all"]["conditions"]["checkpoint"] == f"given ({path})"


def test_the_saved_rankings_agree_with_the_metrics(finished):
    saved = np.load(finished / "rankings.npz", allow_pickle=False)
    order = saved["all/order"]
    right = saved["all/gallery_id"][order[:, 0]] == saved["all/query_id"]
    trial = results(finished)["all"]["trials"][0]
    assert right.mean() == pytest.approx(trial["rank1"], abs=1e-6)
    assert not np.isin(saved["all/gallery_camera"][order][saved["all/query_camera"] == 3], [2]).any()


def test_the_run_folder_can_be_trained_from_its_own_config(finished, tmp_path):
    """The stored config is whole: the same command again, from it alone, gives the same weights."""
    again = tmp_path / "again"
    vireid.Experiment.from_config(finished / "config.yml", ["OUTPUT_DIR", str(again)]).train()
    ours, theirs = (load_file(run / "checkpoints" / "epoch_0004" / "model.safetensors") for run in (finished, again))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_run_is_not_written_over(train, finished, capsys):
    assert train(finished) == 2
    assert capsys.readouterr().err == (
        f"error: OUTPUT_DIR {finished} already holds a run; add --resume to continue it, --eval-only to evaluate it, "
        "or choose another OUTPUT_DIR\n"
    )


def test_resuming_with_another_config_names_the_keys(train, finished, capsys):
    assert train(finished, "--resume", "SOLVER.LR", 0.01) == 2
    text = capsys.readouterr().err
    assert "holds a run of another config" in text
    assert "SOLVER.LR was 0.1, is 0.01" in text


def test_selection_on_the_test_set_is_named_in_the_results(train, tmp_path):
    run = tmp_path / "run"
    assert train(run, "SELECT", "test", "EVALUATE_EVERY", 1) == 0
    seen = [record["rank1"] for record in log(run, "evaluation") if record["protocol"] == "all"]
    best = int(np.argmax(seen)) + 1
    conditions = results(run)["all"]["conditions"]
    assert conditions["checkpoint"] == f"best rank-1 on the test set (epoch {best})"
    assert results(run)["all"]["mean"]["rank1"] == pytest.approx(max(seen), abs=1e-6)
    assert (run / "checkpoints" / f"epoch_{best:04d}").is_dir()


def test_a_diverging_run_stops_with_term_epoch_and_step_named(train, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, "SOLVER.LR", "1e30", "PRECISION", "float32") == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert "in epoch 1, step " in text
    assert "Traceback" not in text
    assert any(f"{term} is nan" in text or f"{term} is inf" in text for term in ("id", "triplet", "mmd"))
    assert (run / "checkpoints" / "non_finite" / "model.safetensors").exists()


def test_a_broken_image_is_named_before_training(train, people, tmp_path, capsys):
    broken = tmp_path / "sysu"
    shutil.copytree(people, broken)
    image = sorted((broken / "cam1").glob("*/0001.jpg"))[0]
    image.write_bytes(image.read_bytes()[:200])
    assert train(tmp_path / "run", "DATA.ROOT", broken) == 2
    text = capsys.readouterr().err
    assert str(image) in text
    assert "Traceback" not in text
    assert not (tmp_path / "run" / "checkpoints").exists()


PLUGIN = '''
import torch
from torch import nn
from vireid.core.registries import LOSSES

@LOSSES.register
class PullToMean(nn.Module):
    """Distance to the mean descriptor of the whole training set, taken at the start of each epoch."""

    def __init__(self, *, feature_dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))

    def start_epoch(self, context):
        table = context.training_features()
        assert table is context.training_features()
        self.mean.copy_(torch.from_numpy(table.embeddings.mean(axis=0)))

    def forward(self, features_bn):
        return (features_bn - self.mean).square().mean()
'''


def test_a_loss_from_a_file_outside_the_repository_trains_with_its_memory(train, tmp_path, monkeypatch):
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    config = tmp_path / "mine.yml"
    config.write_text(
        f"_BASE_: {CONFIG}\nIMPORTS: [my_plugin]\nOBJECTIVE:\n  PULL: {{NAME: PullToMean, WEIGHT: 0.1}}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    run = tmp_path / "run"
    assert train(run, "SOLVER.EPOCHS", 2, config=str(config)) == 0
    mean = load_file(run / "checkpoints" / "epoch_0002" / "objective.safetensors")["pull.mean"]
    assert mean.abs().sum() > 0
    assert all("pull" in record for record in log(run, "epoch"))


def test_a_part_that_no_loss_trains_is_refused(train, tmp_path, capsys):
    assert train(tmp_path / "run", "OBJECTIVE.ID.NAME", "none") == 2
    assert (
        "no loss trains these parameters: heads.id.neck.weight, heads.id.classifier.weight" in capsys.readouterr().err
    )
