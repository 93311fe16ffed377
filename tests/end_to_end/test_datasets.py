"""RegDB, LLCM and a CSV data set: a run of a few steps each, and what belongs to each of them."""

from __future__ import annotations

import csv
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from vireid.config import Build, check_config
from vireid.config.check import problems_of
from vireid.config.load import read_unchecked
from vireid.data.datasets.regdb import RegDB

ROOT = Path(__file__).parents[2]
SMALL = {
    "MODEL.BACKBONE.ARCH": "test_resnet",
    "MODEL.BACKBONE.PRETRAINED": "false",
    "SIZE": "[64, 32]",
    "SAMPLER.IDENTITIES": 2,
    "SAMPLER.PER_MODALITY": 2,
    "SAMPLER.STEPS": 2,
    "SOLVER.EPOCHS": 1,
}


def tool(name: str):
    spec = spec_from_file_location(f"vireid_tool_{name}", ROOT / "tools" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Ten people in a layout, written once."""
    made = {}

    def make(layout: str) -> Path:
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp("people") / layout
            options = ["--identities", "10", "--images", "3", "--size", "64x32", "--workers", "1"]
            assert tool("make_synthetic")(["--layout", layout, "--out", str(made[layout]), *options]) == 0
        return made[layout]

    return make


@pytest.fixture
def run(tmp_path, written, capsys):
    """Run a composition on small synthetic people; the exit code, its results and what it said on stderr."""

    def go(composition: str, root: Path, *words: object, out: str = "run", flags: tuple[str, ...] = ()):
        settings = {**SMALL, "DATA.ROOT": root, "CACHE_DIR": tmp_path / "cache", "OUTPUT_DIR": tmp_path / out}
        pairs = [str(word) for pair in settings.items() for word in pair]
        config = str(ROOT / "configs" / composition)
        code = tool("train_net")(["--config-file", config, *flags, *pairs, *map(str, words)])
        metrics = tmp_path / out / "metrics.json"
        found = json.loads(metrics.read_text())["results"] if metrics.exists() else {}
        return code, found, capsys.readouterr().err

    return go


def test_regdb_splits_have_models_of_their_own_and_one_row(run, written, tmp_path, capsys):
    root = written("regdb")
    for split in (1, 2):
        code, found, _ = run("regdb/baseline.yml", root, "DATA.SPLIT", split, out=f"split_{split}")
        assert code == 0
        assert list(found) == ["v2i", "i2v"]
        assert found["v2i"]["conditions"]["split"] == str(split)
        assert found["v2i"]["conditions"]["direction"] == "visible to infrared"
        assert found["v2i"]["trials"][0]["queries"] == 5 * 3
    code, _, err = run("regdb/baseline.yml", root, "DATA.SPLIT", 3, out="split_2", flags=("--eval-only",))
    assert code == 2
    assert "checkpoint does not match this run: split is 2 in the checkpoint and 3" in err
    weights = tmp_path / "split_2" / "checkpoints" / "epoch_0001"
    for flags in ((), ("--eval-only",)):
        words = "DATA.SPLIT", 3, "WEIGHTS", weights
        code, _, err = run("regdb/baseline.yml", root, *words, out=f"other{len(flags)}", flags=flags)
        assert code == 2
        assert "checkpoint does not match this run: split is 2 in the checkpoint and 3" in err
    assert tool("aggregate_trials")([str(tmp_path / "split_1"), str(tmp_path / "split_2")]) == 0
    text = capsys.readouterr().out
    assert "mean ± sample standard deviation over 2 splits, a model for each" in text
    assert "NOT THE PUBLISHED FORM: no result of split 3, 4, 5, 6, 7, 8, 9, 10" in text
    assert len(RegDB(root=str(root), split=2).test()) == 30


def test_llcm_with_the_released_protocol_beside_the_obvious_one(run, written):
    words = "EVALUATION.RELEASED_V2I.NAME", "LLCMReleasedTransposed", "EVALUATION.V2I.TRIALS", 2
    code, found, _ = run("llcm/baseline.yml", written("llcm"), *words)
    assert code == 0
    assert list(found) == ["i2v", "v2i", "released_v2i"]
    assert [len(result["trials"]) for result in found.values()] == [10, 2, 10]
    assert "llcm_v2i_released" in found["released_v2i"]["conditions"]["protocol"]
    assert found["i2v"]["conditions"]["data"] == "LLCM"


def test_ones_own_images_by_a_csv_file(run, written, tmp_path):
    root, rows = written("regdb"), []
    data = RegDB(root=str(root), split=1)
    for part, samples in (("fit", data.train()), ("exam", data.test())):
        for shot, sample in enumerate(samples):
            path, person = sample.path.relative_to(root).as_posix(), f"p{sample.path.parent.name}"
            camera = f"c{sample.camera + 2 * (shot % 2)}"
            rows.append((path, person, camera, sample.modality.name.lower(), part, shot))
    with (root / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "who", "camera", "modality", "split", "time"), *rows])
    mine = tmp_path / "mine.yml"
    mine.write_text(
        f"_BASE_: {ROOT / 'configs' / 'csv' / 'baseline.yml'}\n"
        "DATA:\n  COLUMNS: {identity: who}\n  SPLITS: {fit: train, exam: test}\n"
        "EVALUATION:\n"
        "  I2V: {SHOTS: 1, TRIALS: 3, EXCLUDE: [[c2, c3]]}\n"
        "  V2I: {NAME: QueryGalleryProtocol, DIRECTION: visible_to_infrared, WITHIN_SECONDS: 1.5, CMC: image}\n"
    )
    code, found, err = run(str(mine), root)
    assert code == 0, err
    assert list(found) == ["i2v", "v2i"]
    assert len(found["i2v"]["trials"]) == 3
    assert found["i2v"]["conditions"]["excluded"] == "3 (c3) for 2 (c2)"
    assert found["v2i"]["conditions"]["cmc"] == "of images"
    assert found["v2i"]["conditions"]["file"] == "images.csv"
    code, _, err = run(str(mine), root, "EVALUATION.I2V.TRIALS", 0, out="wrong")
    assert code == 2
    assert "EVALUATION.I2V (QueryGalleryProtocol): shots must be at least 0 and trials at least 1, got 1 and 0" in err


def test_sysu_by_the_permutations_of_the_data_set(run, written, tmp_path):
    root = written("sysu")
    words = "EVALUATION.ALL.DRAW", "official", "EVALUATION.ALL.SHOTS", 10, "EVALUATION.INDOOR.DRAW", "unseeded"
    code, found, err = run("sysu/baseline.yml", root, *words)
    assert code == 0, err
    assert found["all"]["conditions"]["draw"] == "official"
    assert found["indoor"]["conditions"]["draw"] == "unseeded in the release; here NumPy with seed 0"
    assert len(found["all"]["trials"]) == 10

    permutations = root / "exp" / "rand_perm_cam.mat"
    kept = permutations.rename(tmp_path / "kept.mat")
    try:
        code, _, err = run("sysu/baseline.yml", root, *words, out="without")
    finally:
        kept.rename(permutations)
    assert code == 2
    assert f"{permutations} does not exist: the official draw needs the permutations" in err
    assert not (tmp_path / "without" / "checkpoints").exists()  # reported before training


def test_the_documented_example_is_a_sound_config(tmp_path):
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n# mine.yml\n(.*?)^```$", page, flags=re.M | re.S)
    (tmp_path / "mine.yml").write_text(block.replace("configs/", f"{ROOT}/configs/"), encoding="utf-8")
    config = read_unchecked(tmp_path / "mine.yml", {"MODEL.BACKBONE.ARCH": "test_resnet"})
    assert problems_of(config) == []
    assert list(Build(check_config(config)).evaluators()) == ["i2v", "v2i"]
