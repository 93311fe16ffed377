"""tools/show_config.py, in process."""

import pytest

from vireid.config import load_checked
from vireid.config import show as explain


@pytest.fixture
def demo(configs):
    return configs / "demo" / "sysu_mmd.yml"


def test_what_it_prints_can_be_loaded_again(show_config, demo, tmp_path):
    code, printed, error = show_config("--config-file", demo, "SOLVER.LR", "1e-3")
    assert (code, error) == (0, "")
    again = tmp_path / "again.yml"
    again.write_text(printed)
    expected = explain.resolved_tree(load_checked(demo, ["SOLVER.LR", "1e-3"]))
    assert explain.resolved_tree(load_checked(again)) == expected
    assert expected["SOLVER"]["LR"] == 1e-3


def test_parts_and_providers(show_config, demo):
    code, printed, _ = show_config("--config-file", demo, "--only", "parts")
    assert code == 0
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    triplet = lines.index("OBJECTIVE.TRIPLET HeteroCenterTriplet x 2 methods/mmd.yml")
    assert lines[triplet + 1 : triplet + 4] == [
        "needs features <- MODEL.HEADS.ID",
        "needs labels <- batch",
        "needs modality <- batch",
    ]
    assert "provides features, features_bn, logits" in lines
    assert "SIMILARITY Similarity default" in lines
    assert "MODEL.ADAPTER none" in lines


def test_only_the_config(show_config, demo):
    _, printed, _ = show_config("--config-file", demo, "--only", "config")
    assert "<-" not in printed


def test_differences_name_what_changes_the_training(demo):
    stored = explain.resolved_text(load_checked(demo))
    free = ["OUTPUT_DIR", "elsewhere", "LOG_EVERY", "1", "SOLVER.EPOCHS", "99", "SIMILARITY.BACKEND", "faiss"]
    free += ["EVALUATION.ALL.TRIALS", "1"]
    assert explain.differences(stored, load_checked(demo, free)) == []
    other = ["SEED", "3", "OBJECTIVE.TRIPLET.MARGIN", "0.5", "OBJECTIVE.MMD.NAME", "none", "SOLVER.LR_SCALE", "{}"]
    assert explain.differences(stored, load_checked(demo, other)) == [
        "SEED was 0, is 3",
        "OBJECTIVE.TRIPLET.MARGIN was 0.3, is 0.5",
        "OBJECTIVE.MMD was MarginMMD, is nothing",
        "SOLVER.LR_SCALE.backbone was 1.0, is nothing",
    ]
    assert explain.differences("[1", load_checked(demo)) == ["the stored config cannot be read"]
