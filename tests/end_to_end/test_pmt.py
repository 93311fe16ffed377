"""PMT and the plain transformer baseline, small: stages, resume, evaluation, bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import vireid
from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core.types import ModelOutput, Progress
from vireid.testing import tiny_batch

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {
    "SIZE": "[64, 32]",
    "MODEL.BACKBONE.ARCH": "test_vit",
    "MODEL.BACKBONE.PRETRAINED": False,
    "SAMPLER.IDENTITIES": 4,
    "SAMPLER.PER_MODALITY": 2,
    "SAMPLER.STEPS": 2,
    "SOLVER.EPOCHS": 2,
    "SOLVER.SCHEDULE.WARMUP": 1,
    "SOLVER.SCHEDULE.EPOCHS": 2,
}
STAGES = {  # one epoch each
    "AUGMENTATION.GRAY.STOP": 1,
    "OBJECTIVE.INTRA.SCHEDULE.STOP": 1,
    **{f"OBJECTIVE.{term}.SCHEDULE.START": 1 for term in ("TRIPLET", "DCL", "MSEL")},
}


@pytest.fixture
def small_transformer(layouts, cache, run_tool, tmp_path):
    """Train a shipped config, small, into a folder of this name: folder of the run."""

    def run(config: str, name: str, *flags: str, **settings: object) -> Path:
        data = {"DATA.ROOT": layouts(config.split("/", 1)[0]), "CACHE_DIR": cache, "OUTPUT_DIR": tmp_path / name}
        words = [word for pair in {**SMALL, **data, **settings}.items() for word in pair]
        assert run_tool("train_net", "--config-file", CONFIGS / f"{config}.yml", *flags, *words) == 0
        return tmp_path / name

    return run


def epochs(run: Path) -> list[dict]:
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == "epoch"]


def test_pmt_changes_its_stage_resumes_and_becomes_a_bundle(small_transformer, state, tmp_path):
    whole = small_transformer("sysu/pmt", "whole", **STAGES)
    gray, color = epochs(whole)
    assert gray["loss"] == pytest.approx(2 * gray["id"] + gray["intra"], rel=1e-4)
    parts = 2 * color["id"] + color["triplet"] + 0.5 * color["dcl"] + 0.5 * color["msel"]
    assert color["loss"] == pytest.approx(parts, rel=1e-4)

    pieces = small_transformer("sysu/pmt", "pieces", **STAGES | {"SOLVER.EPOCHS": 1})
    small_transformer("sysu/pmt", "pieces", "--resume", **STAGES)
    expected, found = state(whole, 2), state(pieces, 2)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)

    results = json.loads((whole / "metrics.json").read_text())["results"]
    assert {"all", "indoor"} == set(results)
    assert all(0 < each["mean"]["mAP"] <= 1 for each in results.values())
    bundle = vireid.save_bundle(whole, tmp_path / "bundle", license="MIT")
    pixels = torch.zeros(2, 64, 32, 3, dtype=torch.uint8).numpy()
    assert vireid.load(bundle, device="cpu")(pixels, modality="infrared").shape == (2, 64)


def test_the_overrides_of_the_page_give_the_baseline_of_the_release():
    names = {f"OBJECTIVE.{term}.NAME": "none" for term in ("INTRA", "DCL", "MSEL")}
    changes = names | {"AUGMENTATION.GRAY.NAME": "none", "OBJECTIVE.TRIPLET.SCHEDULE.START": 0}
    build, batch = Build(load_checked(CONFIGS / "sysu" / "pmt.yml", changes)), tiny_batch()
    with torch.device("meta"):
        objective = build.objective(build.model(weights=False))
    fields = {"features": torch.randn(len(batch), 4), "logits": torch.randn(len(batch), 5)}
    total, terms = objective(batch, ModelOutput(fields), Progress(epoch=0))
    assert set(terms) == {"id", "triplet"}
    assert float(total) == pytest.approx(2 * float(terms["id"]) + float(terms["triplet"]), rel=1e-5)


def test_the_baseline_and_pae_on_patches_train_with_layer_wise_learning_rates(small_transformer, layouts):
    settings = {"SOLVER.LAYER_DECAY": 0.75, "SOLVER.DECAYED": "matrices", "SOLVER.EPOCHS": 1, "SOLVER.LR_SCALE": "{}"}
    settings |= {"SOLVER.SCHEDULE.WARMUP": 0, "AUGMENTATION.CROP.PADDING": 5}
    attributes = {"DATA.ATTRIBUTES": layouts("sysu") / "sysu_attribute", "MODEL.ATTRIBUTES.PREDICTOR": True}
    run = small_transformer("sysu/vit_pae_aal", "run", **settings, **attributes)
    results = json.loads((run / "metrics.json").read_text())["results"]["all"]
    assert results["conditions"]["attribute_embedding"] == "emb1+emb2+emb3"
    stored = torch.load(run / "checkpoints" / "epoch_0001" / "trainer.pt", weights_only=True)["optimizer"]
    groups = {(round(group["scale"], 6), group["weight_decay"]) for group in stored["param_groups"]}
    factors = [round(0.75**number, 6) for number in range(8)]  # heads and PAE, six blocks, embedding
    assert groups == {(factor, decay) for factor in factors for decay in (0.0, 1e-4)}
