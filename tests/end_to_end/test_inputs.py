"""What a run was made from: --resume, --eval-only and suites notice when it has changed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

spec = importlib.util.spec_from_file_location("inputs_of_tests", Path(__file__).with_name("inputs.py"))
data = importlib.util.module_from_spec(spec)
spec.loader.exec_module(data)

PLUGIN = """
import torch
from torch import nn
from vireid.core.registries import LOSSES

@LOSSES.register
class PluginOfInputs(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return {factor} * features.square().mean()
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_tool):
    """One trained run that the tests copy: its folder, config, images and CSV lines."""
    folder = tmp_path_factory.mktemp("inputs")
    lines = data.write_images(folder / "images")
    data.write_csv(folder / "images", lines)
    config = data.write_config(folder, folder / "images")
    assert run_tool("train_net", "--config-file", config, "OUTPUT_DIR", folder / "run") == 0
    return folder, lines


@pytest.fixture
def again(trained, tmp_path, run_tool):
    """Call train_net on the trained run; what the test changes in it and in its data is put back afterwards."""
    folder, lines = trained
    shutil.copytree(folder, tmp_path / "kept")
    config = folder / "tiny_csv.yml"

    def call(*words, **more) -> int:
        file = data.write_config(tmp_path, folder / "images", **more) if more else config
        flags = [word for word in words if str(word).startswith("--")]
        rest = [word for word in words if not str(word).startswith("--")]
        return run_tool("train_net", "--config-file", file, *flags, "OUTPUT_DIR", folder / "run", *rest)

    call.lines, call.images, call.run, call.config = lines, folder / "images", folder / "run", config
    yield call
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "kept", folder)


def test_shifted_labels_are_refused_with_what_changed(again, capsys):
    """The same number of identities, and every label another one."""
    data.write_csv(again.images, data.renamed(again.lines, "p0", "p35"))
    before = (again.run / "config.yml").read_text(), (again.run / "listing.csv.gz").read_bytes()
    assert again("--resume", "SOLVER.EPOCHS", 2) == 2
    assert (
        f"error: OUTPUT_DIR {again.run} holds a run of other inputs, so it cannot be resumed:\n"
        "    the training listing changed: 32 labels changed (first: 0_1_0.png was 0, is 3)\n"
    ) in capsys.readouterr().err
    assert before == ((again.run / "config.yml").read_text(), (again.run / "listing.csv.gz").read_bytes())


def test_added_removed_and_replaced_images_are_named(again, capsys):
    (again.images / "0_1_0.png").rename(again.images / "new.png")
    Path(again.images / "0_1_1.png").write_bytes((again.images / "0_1_1.png").read_bytes() + b"0")
    lines = [["new.png", *line[1:]] if line[0] == "0_1_0.png" else line for line in again.lines]
    data.write_csv(again.images, lines)
    assert again("--resume", "SOLVER.EPOCHS", 2) == 2
    text = capsys.readouterr().err
    assert "1 image added (first: new.png), 1 image removed (first: 0_1_0.png), 1 file size changed (first: 0" in text


def test_an_image_replaced_by_one_of_equal_size_and_time_is_noticed(again, capsys):
    for name in ("0_1_1.png", "5_1_1.png"):  # of training and of testing
        file = again.images / name
        old, content = file.stat(), bytearray(file.read_bytes())
        content[-20] ^= 1
        file.write_bytes(content)
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    text = "images changed: the content of images, whose names and sizes are the same"
    assert again("--resume", "SOLVER.EPOCHS", 2) == 2
    assert f"the training {text}" in capsys.readouterr().err


def test_the_same_folder_spelt_otherwise_is_the_same(again, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(again.images.parent))
    assert again("--resume", "DATA.ROOT", "~/run/../images") == 0
    assert "resumed after epoch 1 of 1" in capsys.readouterr().out


def test_home_is_expanded_in_every_path(again, monkeypatch, tmp_path):
    home = again.images.parent
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    paths = {
        "OUTPUT_DIR": "~/in_home",
        "CACHE_DIR": "~/cache_in_home",
        "WEIGHTS": "~/run/checkpoints/epoch_0001",
        "DATA.ROOT": "~/images",
        "DATA.FILE": "~/images/images.csv",
    }
    assert again(*(word for pair in paths.items() for word in pair)) == 0
    assert (home / "in_home" / "metrics.json").is_file()
    assert list((home / "cache_in_home").glob("*.npy"))
    assert not list(tmp_path.glob("~*"))
    assert json.loads((home / "in_home" / "metrics.json").read_text())["inputs"]["files"]["WEIGHTS"] != "missing"


def test_without_the_stored_listing_the_counts_are_compared(again, capsys):
    (again.run / "listing.csv.gz").unlink()
    data.write_csv(again.images, data.renamed(again.lines, "p0", "p35"))
    assert again("--resume") == 2
    assert "the training listing changed: the same numbers of images, identities" in capsys.readouterr().err


def test_fewer_epochs_than_are_done(again, capsys):
    assert again("--resume", "SOLVER.EPOCHS", 2) == 0
    assert again("--resume", "SOLVER.EPOCHS", 1) == 2
    assert "it has finished 2 epochs and SOLVER.EPOCHS is 1; set it to 2 or more" in capsys.readouterr().err


def test_a_run_of_an_older_version_resumes_with_a_line(again, capsys):
    for meta in again.run.glob("checkpoints/*/meta.json"):
        content = json.loads(meta.read_text())
        del content["inputs"]
        meta.write_text(json.dumps(content))
    assert again("--resume", "SOLVER.EPOCHS", 2) == 0
    assert "this run does not record its training listing" in capsys.readouterr().out
    assert json.loads((again.run / "metrics.json").read_text())["inputs"]["trained_on"] is None


def test_another_test_listing_is_evaluated_and_recorded(again, capsys):
    old = json.loads((again.run / "metrics.json").read_text())
    data.write_csv(again.images, [line for line in again.lines if line[0] != "5_3_0.png"])
    assert again("--eval-only") == 0
    assert "since this checkpoint was trained" not in capsys.readouterr().out
    new = json.loads((again.run / "metrics.json").read_text())
    assert (old["inputs"]["test"]["images"], new["inputs"]["test"]["images"]) == (16, 15)
    assert new["inputs"]["trained_on"] == old["inputs"]["trained_on"]
    with np.load(again.run / "queries.npz") as queries:
        assert str(queries["listing"]) == new["inputs"]["test_images"]


def test_evaluating_after_the_training_listing_changed_says_so(again, capsys):
    data.write_csv(again.images, data.renamed(again.lines, "p0", "p35"))
    assert again("--eval-only") == 0
    text = capsys.readouterr().out
    assert "since this checkpoint was trained: the training listing changed: 32 labels changed" in text


def test_a_changed_plug_in_and_changed_weights_are_refused(again, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    plugin, weights = tmp_path / "plugin_of_inputs.py", tmp_path / "w.safetensors"
    shutil.copy(again.run / "checkpoints" / "epoch_0001" / "model.safetensors", weights)
    plugin.write_text(PLUGIN.format(factor=1))
    more = {"IMPORTS": ["plugin_of_inputs"], "WEIGHTS": str(weights), "OBJECTIVE": {"MORE": {"NAME": "PluginOfInputs"}}}
    shutil.rmtree(again.run)
    assert again(**more) == 0
    weights.write_bytes(b"other")
    plugin.write_text(PLUGIN.format(factor=2))
    capsys.readouterr()
    assert again("--resume", "SOLVER.EPOCHS", 2, **more) == 2  # this process holds the old code
    assert "plugin_of_inputs.py changed since this process imported it" in capsys.readouterr().err
    _forget("plugin_of_inputs", "PluginOfInputs")
    assert again("--resume", "SOLVER.EPOCHS", 2, **more) == 2
    text = capsys.readouterr().err
    assert "    the plug-in plugin_of_inputs.py changed\n" in text
    assert "    the content of the file that WEIGHTS names changed\n" in text
    weights.unlink()  # nothing took its place: training goes on from the checkpoint, not from it
    plugin.write_text(PLUGIN.format(factor=1))
    _forget("plugin_of_inputs", "PluginOfInputs")
    assert again("--resume", "SOLVER.EPOCHS", 2, **more) == 0


def _forget(module: str, name: str) -> None:
    from vireid.core.registries import LOSSES

    del sys.modules[module], LOSSES._entries[name]


SUITE = """
CONFIG: {config}
ROWS: {{one: {{}}}}
COLUMNS: [rank1]
"""


@pytest.fixture
def suite(again, tmp_path, run_tool, train_in_process, capsys):
    """Call benchmark.py on a suite of one row: exit code and output."""
    (tmp_path / "suite.yml").write_text(SUITE.format(config=again.config))

    def call(*words) -> tuple[int, str]:
        capsys.readouterr()
        code = run_tool("benchmark", "--suite", tmp_path / "suite.yml", "--out", tmp_path / "out", *words)
        found = capsys.readouterr()
        return code, found.out + found.err

    call.images, call.lines, call.out = again.images, again.lines, tmp_path / "out"
    return call


def epochs(out: Path) -> dict[str, int]:
    """Folder of a run -> epochs that were trained there, over all attempts."""
    logs = out.glob("runs/*/log.jsonl")
    return {log.parent.name: log.read_text().count('"event": "epoch"') for log in logs}


def test_a_suite_run_again_notices_what_changed(suite):
    assert suite()[0] == 0
    (address,) = epochs(suite.out)
    first = json.loads((suite.out / "results.json").read_text())
    code, text = suite()
    assert (code, "1 runs, 1 of them done before" in text) == (0, True)

    data.write_csv(suite.images, suite.lines[:-1])  # a test image less: evaluated again, not trained again
    code, text = suite()
    assert code == 0
    assert f"{address} is repeated: the test listing changed: images 16, now 15" in text
    assert epochs(suite.out) == {address: 1}
    second = json.loads((suite.out / "results.json").read_text())
    assert first["runs"][0]["inputs"]["test"] != second["runs"][0]["inputs"]["test"]

    data.write_csv(suite.images, data.renamed(suite.lines, "p0", "p35"))  # trained again, beside the old run
    code, text = suite()
    assert code == 0
    assert f"{address} is repeated: the training listing changed" in text
    assert sorted(epochs(suite.out).values()) == [1, 1]
    code, text = suite()
    assert "1 runs, 1 of them done before" in text

    data.write_csv(suite.images, suite.lines)  # back again: the first run counts, evaluated on all images
    code, text = suite()
    assert "the test listing changed: images 15, now 16" in text
    assert sorted(epochs(suite.out).values()) == [1, 1]
    assert json.loads((suite.out / "results.json").read_text()) == first


def test_collecting_runs_of_other_data(suite, tmp_path):
    assert suite()[0] == 0
    (tmp_path / "out" / "runs").rename(tmp_path / "elsewhere")
    assert suite("--collect", tmp_path / "elsewhere")[0] == 0
    data.write_csv(suite.images, data.renamed(suite.lines, "p0", "p35"))
    code, text = suite("--collect", tmp_path / "elsewhere")
    assert code == 1
    assert "was trained on other inputs: the training listing changed" in text
    (suite.images / "images.csv").unlink()
    code, text = suite("--collect", tmp_path / "elsewhere")
    assert code == 0
    assert "one: inputs not compared: the dataset cannot be listed on this machine" in text


def test_runs_of_an_older_version_are_marked(suite):
    assert suite()[0] == 0
    (metrics,) = suite.out.glob("runs/*/metrics.json")
    content = json.loads(metrics.read_text())
    del content["inputs"]
    metrics.write_text(json.dumps(content))
    code, text = suite()
    assert code == 0
    assert "1 runs, 1 of them done before" in text
    assert "one: inputs not recorded (a run of an older version)" in text
