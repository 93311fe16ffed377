"""PAE and AAL train on synthetic people, are evaluated under each attribute source, frozen, resumed and refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vireid.data.attributes import read_sysu_attributes

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def run(train, people, tmp_path, capsys):
    """A run of a few steps with attributes: folder name and overrides -> (exit code, complaint)."""

    def go(name, *words, attributes="sysu_attribute", config="sysu/mmd_pae_aal.yml"):
        settings = {
            "MODEL.BACKBONE.ARCH": "test_resnet",
            "MODEL.BACKBONE.PRETRAINED": False,
            "AUGMENTATION.CROP.PADDING": 5,
            "TENSORBOARD": False,
            "SAMPLER.STEPS": 2,
        }
        if attributes:
            settings["DATA.ATTRIBUTES"] = people / attributes
        pairs = [word for pair in settings.items() for word in pair]
        code = train(tmp_path / name, *pairs, *words, config=str(CONFIGS / config))
        return code, capsys.readouterr().err

    return go


def conditions(folder):
    results = json.loads((folder / "metrics.json").read_text())["results"].values()
    assert {result["conditions"]["attribute_embedding"] for result in results} == {"emb1+emb2+emb3"}
    return {result["conditions"]["attribute_source"] for result in results}


def test_trained_once_and_evaluated_under_each_source(run, tmp_path, people):
    words = ["SOLVER.EPOCHS", 2, "MODEL.ATTRIBUTES.PREDICTOR", "true"]
    assert run("run", *words)[0] == 0
    folder = tmp_path / "run"
    assert conditions(folder) == {"predicted"}
    weights = load_file(folder / "checkpoints" / "epoch_0002" / "model.safetensors")
    assert 0 < weights["attributes.prior"].min() < weights["attributes.prior"].max() < 1
    assert len(weights["attributes.prior"]) == read_sysu_attributes(people / "sysu_attribute").width
    (epoch, *_) = [
        record
        for record in map(json.loads, (folder / "log.jsonl").read_text().splitlines())
        if record["event"] == "epoch"
    ]
    assert {"attributes/accuracy", "attributes/balanced", "attribute_prior/accuracy/7"} <= set(epoch)
    scores = {}
    for source in ("labels", "prior"):
        given = ["WEIGHTS", folder / "checkpoints" / "epoch_0002", "MODEL.ATTRIBUTES.TEST", source]
        assert run(source, "--eval-only", *words, *given)[0] == 0
        assert conditions(tmp_path / source) == {source}
        scores[source] = json.loads((tmp_path / source / "metrics.json").read_text())["results"]["all"]["mean"]
    assert scores["labels"] != scores["prior"]


def test_a_part_frozen_at_an_epoch_stays_and_a_resumed_run_ends_in_the_same_bits(run, tmp_path):
    words = ["SOLVER.FREEZE", "{adapter: 1}", "KEEP_CHECKPOINTS", 3]
    assert run("whole", *words)[0] == 0
    assert run("pieces", *words, "SOLVER.EPOCHS", 1)[0] == 0
    assert run("pieces", "--resume", *words)[0] == 0
    states = [load_file(tmp_path / "whole" / "checkpoints" / f"epoch_{n:04d}" / "model.safetensors") for n in (1, 3)]
    for name in states[0]:
        if name.startswith("adapter."):
            assert torch.equal(states[0][name], states[1][name]), name
    assert not torch.equal(states[0]["heads.attributes.layers.weight"], states[1]["heads.attributes.layers.weight"])
    resumed = load_file(tmp_path / "pieces" / "checkpoints" / "epoch_0003" / "model.safetensors")
    assert all(torch.equal(states[1][name], resumed[name]) for name in resumed)


def test_no_attributes_is_one_text_before_anything_is_read(run):
    code, text = run("run", "DATA.ATTRIBUTES", "none", attributes=None)
    assert code == 2
    assert "needs num_attributes, and this dataset has none; name a table of them with DATA.ATTRIBUTES" in text
    assert "Traceback" not in text


def test_a_source_without_test_is_refused(run):
    code, text = run("run", "MODEL.ATTRIBUTES", "{NAME: AttributeSource}", config="sysu/mmd.yml")
    assert code == 2
    assert "MODEL.ATTRIBUTES (AttributeSource) needs TEST" in text


def test_pae_without_a_source_is_refused(run):
    code, text = run("run", "MODEL.ATTRIBUTES.NAME", "none", "OBJECTIVE.ATTRIBUTE_PRIOR.NAME", "none")
    assert code == 2
    assert "MODEL.ADAPTER (ProgressiveAttributeEmbedding) needs attributes; set MODEL.ATTRIBUTES" in text


def test_a_predictor_that_no_loss_trains_is_refused(run):
    code, text = run("run", "OBJECTIVE.ATTRIBUTE_PRIOR.NAME", "none")
    assert code == 2
    assert "no loss trains these parameters: attributes.predictor" in text
