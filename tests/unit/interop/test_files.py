"""Conversion of whole files, on releases of three tensors; `tests/end_to_end/test_released.py` has a real network."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vireid.core.errors import CheckpointError, UserError
from vireid.core.io import digest
from vireid.interop.released import convert, files, layout
from vireid.interop.released.layout import Key, Layout, Rule
from vireid.interop.weights import read_facts
from vireid.zoo import models as zoo

RULES = (Rule(r"net\.(\w+)", r"backbone.\1"), Rule(r"classifier\.(\w+)", r"heads.id.\1"), Rule(r"loss\..*", None))
KEYS = (
    Key("net.weight", (2, 3), used=True),
    Key("net.old", (7,), used=False),
    Key("classifier.weight", (395, 2), used=True),
    Key("loss.memory", (395, 2), used=True),
)


@pytest.fixture
def small(monkeypatch):
    """Two variants of a release, and another release whose tensors are named otherwise."""
    layouts = {
        "small": Layout(model="small", config="agw", rules=RULES),
        "small_wide": Layout(model="small_wide", config="regdb/agw", rules=RULES, family="small"),
        "other": Layout(model="other", config=None, rules=(Rule(r"body\.(\w+)", r"backbone.\1"),)),
    }
    lists = {
        "small": convert.Release("small", 395, KEYS),
        "small_wide": convert.Release("small_wide", 395, (Key("net.weight", (4, 3), used=True), *KEYS[1:])),
        "other": convert.Release("other", 395, (Key("body.weight", (2, 3), used=True),)),
    }
    for module in (layout, files):
        monkeypatch.setattr(module, "LAYOUTS", layouts)
    for module in (convert, files):
        monkeypatch.setattr(module, "release", lists.__getitem__)


@pytest.fixture
def tensors():
    return {
        "net.weight": torch.arange(6.0).view(2, 3),
        "net.old": torch.zeros(7),
        "classifier.weight": torch.rand(206, 2),
        "loss.memory": torch.rand(206, 2),
    }


def saved(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "regdb_best.t"
    torch.save(content, path)
    return path


def run(*words: object) -> int:
    spec = importlib.util.spec_from_file_location("convert", Path(__file__).parents[3] / "tools/convert_checkpoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(list(map(str, words)))


def test_a_file_of_a_split(small, tmp_path, tensors, capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setattr(zoo, "misfit", lambda name, weights: "")
    source = saved(tmp_path, {"net": tensors, "mAP": np.float64(0.5), "cmc": np.zeros(20), "epoch": 3})
    out = tmp_path / "out.safetensors"
    assert run("--from", "small", source, out, "--split", 3) == 0
    made = load_file(out)
    assert made.keys() == {"backbone.weight", "heads.id.weight"}
    assert torch.equal(made["backbone.weight"], tensors["net.weight"])
    assert read_facts(out) == {
        "data": "RegDB",
        "split": 3,
        "num_ids": 206,
        "release": "small",
        "source": "regdb_best.t",
        "source_sha256": digest(source),
    }
    assert capsys.readouterr().out == (
        f"{out}: small, RegDB, split 3, 206 identities; 2 tensors\n"
        "2 tensors that our network does not have were dropped\n"
        "evaluate: vireid eval --config-file configs/regdb/agw.yml "
        f"WEIGHTS {out} DATA.SPLIT 3\n"
    )


def test_the_variant_of_a_family_that_fits_is_taken(small, tmp_path, tensors):
    wide = tensors | {"net.weight": torch.rand(4, 3)}
    made = files.convert_file("small", saved(tmp_path, wide), tmp_path / "out.safetensors", split=1)
    assert (made.model, made.composition) == ("small_wide", "regdb/agw")


def test_names_as_several_gpus_leave_them(small, tmp_path, tensors):
    wrapped = {f"module.{name}": value for name, value in tensors.items()}
    made = files.convert_file("small", saved(tmp_path, {"state_dict": wrapped}), tmp_path / "out.safetensors", split=1)
    assert made.tensors == 2


def test_names_as_compile_leaves_them_are_reported(small, tmp_path, tensors, capsys):
    wrapped = {f"_orig_mod.{name}": value for name, value in tensors.items()}
    assert run("--from", "small", saved(tmp_path, {"net": wrapped}), tmp_path / "out.safetensors", "--split", 1) == 0
    assert "regdb_best.t: removed '_orig_mod', which torch.compile inserts\n" in capsys.readouterr().out
    assert load_file(tmp_path / "out.safetensors").keys() == {"backbone.weight", "heads.id.weight"}


def test_no_command_is_printed_that_cannot_fit(small, tmp_path, tensors, capsys):
    """Three tensors are no AGW."""
    assert run("--from", "small", saved(tmp_path, tensors), tmp_path / "out.safetensors", "--split", 1) == 0
    text = capsys.readouterr().out
    assert "evaluate:" not in text
    assert "configs/regdb/agw.yml does not evaluate it without changes: the network also has backbone." in text


def test_a_page_instead_of_a_file(small, tmp_path, capsys):
    (tmp_path / "a.t").write_text("<!DOCTYPE html><title>Sign in</title>")
    assert run("--from", "small", tmp_path / "a.t", tmp_path / "out.safetensors") == 2
    text = capsys.readouterr().err
    assert "a.t: cannot be read as a file of torch.save: is an HTML page ('Sign in'), not the file itself" in text
    assert "weights_only" not in text


def test_half_numbers_become_whole_ones(small, tmp_path, tensors):
    half = {name: value.half() for name, value in tensors.items()}
    files.convert_file("small", saved(tmp_path, half), tmp_path / "out.safetensors", split=1)
    assert load_file(tmp_path / "out.safetensors")["backbone.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("family", "split", "data", "text"),
    [
        ("small", None, None, "a model of RegDB was trained on one of its 10 splits"),
        ("small", 11, None, "--split must be between 1 and 10, got 11"),
        ("small", 0, None, "--split must be between 1 and 10, got 0"),
        ("small", 1, "LLCM", "LLCM has one split; --split is for RegDB"),
        ("small", 1, "RegDb", "no released model was trained on 'RegDb'; did you mean 'RegDB'?"),
        ("smal", 1, None, "unknown release 'smal'; did you mean 'small'? (small, other)"),
    ],
)
def test_wrong_words(small, tmp_path, tensors, capsys, family, split, data, text):
    words = [*(["--split", split] if split is not None else []), *(["--data", data] if data else [])]
    assert run("--from", family, saved(tmp_path, tensors), tmp_path / "out.safetensors", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert text in error
    assert not (tmp_path / "out.safetensors").exists()


def test_a_number_of_identities_of_no_data_set(small, tmp_path, tensors):
    odd = tensors | {"classifier.weight": torch.rand(9, 2), "loss.memory": torch.rand(9, 2)}
    with pytest.raises(UserError, match="trained on 9 identities, which is none of 395 of SysuMM01, 206 of RegDB, 713"):
        files.convert_file("small", saved(tmp_path, odd), tmp_path / "out.safetensors")
    made = files.convert_file("small", saved(tmp_path, odd), tmp_path / "out.safetensors", data="SysuMM01")
    assert made.facts["num_ids"] == 9


def test_a_release_without_identity_labels_needs_the_name_of_its_dataset(small, tmp_path, tensors, monkeypatch):
    changed = {name: replace(each, annotated=False) for name, each in files.LAYOUTS.items()}
    for module in (layout, files):
        monkeypatch.setattr(module, "LAYOUTS", changed)
    source = saved(tmp_path, tensors)
    with pytest.raises(UserError, match="trained without identity labels: name its dataset with --data"):
        files.convert_file("small", source, tmp_path / "out.safetensors")
    result = files.convert_file("small", source, tmp_path / "out.safetensors", data="SysuMM01")
    assert result.facts["num_ids"] == 0


def test_everything_that_does_not_fit_is_one_error(small, tmp_path, tensors):
    del tensors["net.weight"], tensors["net.old"]
    tensors["extra"] = torch.zeros(1)
    source = saved(tmp_path, {"net": tensors})
    with pytest.raises(CheckpointError) as error:
        files.convert_file("small", source, tmp_path / "out.safetensors", split=1)
    assert str(error.value) == (
        f"{source}: not a checkpoint of the released 'small':\n    missing: net.weight\n    unknown: extra"
    )


def test_a_checkpoint_of_another_release_is_called_by_its_name(small, tmp_path):
    source = saved(tmp_path, {"body.weight": torch.zeros(2, 3)})
    with pytest.raises(CheckpointError, match="it is one of the released 'other'"):
        files.convert_file("small", source, tmp_path / "out.safetensors")


def test_numbers_that_are_none(small, tmp_path, tensors):
    tensors["net.weight"][0, 0] = torch.nan
    with pytest.raises(CheckpointError, match=r"NaN or infinite numbers in backbone\.weight"):
        files.convert_file("small", saved(tmp_path, tensors), tmp_path / "out.safetensors", split=1)


def test_code_in_a_file_leaves_one_line_and_nothing_else(small, tmp_path, tensors, capsys):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    out = tmp_path / "out.safetensors"
    assert run("--from", "small", saved(tmp_path, {"net": tensors, "acc": Hostile()}), out, "--split", 1) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
    assert not out.exists()


def test_the_name_of_the_file_to_write(small, tmp_path, tensors, capsys):
    assert run("--from", "small", saved(tmp_path, tensors), tmp_path / "out.pth", "--split", 1) == 2
    assert "OUT must end in .safetensors" in capsys.readouterr().err
