"""Each shipped method trains and is evaluated on synthetic people in the layout of each data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vireid.config.load import read_unchecked

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS = ("baseline", "agw", "hct", "mmd")


@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_is_evaluated(layouts, train, tmp_path, layout, method):
    config = CONFIGS / layout / f"{method}.yml"
    settings = {
        "DATA.ROOT": layouts(layout),
        "SIZE": "[96, 32]",  # a map of six rows, one for each stripe
        "MODEL.BACKBONE.ARCH": "test_resnet",
        "MODEL.BACKBONE.PRETRAINED": False,
        "SAMPLER.STEPS": 2,
        "SAMPLER.PER_MODALITY": 2,
        "SOLVER.EPOCHS": 1,
    }
    words = [word for pair in settings.items() for word in pair]
    run = tmp_path / "run"
    assert train(run, *words, config=str(config)) == 0

    terms = {name.lower() for name in read_unchecked(config).OBJECTIVE}
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    (epoch,) = [record for record in records if record["event"] == "epoch"]
    assert terms <= set(epoch)
    found = json.loads((run / "metrics.json").read_text())["results"]
    assert set(found) == {name.lower() for name in read_unchecked(config).EVALUATION}
    assert all(0 <= result["mean"]["mAP"] <= 1 for result in found.values())
    weights = load_file(run / "checkpoints" / "epoch_0001" / "model.safetensors")
    assert any("_insert." in name for name in weights) == (method == "agw")
    assert any(name.startswith("heads.parts.") for name in weights) == (method == "hct")


def test_stripes_that_do_not_fit_the_images_are_one_clear_error(train, tmp_path, capsys):
    words = ["SIZE", "[64, 32]", "MODEL.BACKBONE.ARCH", "test_resnet", "MODEL.BACKBONE.PRETRAINED", "false"]
    assert train(tmp_path / "run", *words, config=str(CONFIGS / "sysu" / "hct.yml")) == 2
    text = capsys.readouterr().err
    assert "a map of height 4 cannot be cut into 6 equal stripes; change NUM_PARTS, or SIZE" in text
    assert "Traceback" not in text
