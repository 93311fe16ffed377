"""Which shipped configs have trained weights in a folder or on a hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import vireid
from vireid.cli.main import main
from vireid.config.check import load_checked
from vireid.config.load import read_unchecked
from vireid.config.show import write_resolved
from vireid.core.errors import ArgumentError, UserError
from vireid.zoo.configs import config_path
from vireid.zoo.weights import ModelWeights, shipped_names

TABLE4 = ("sysu/paenet_paper", "sysu/paenet_table4_aal_fixed", "sysu/paenet_table4_epoch10")


def write_run(folder: Path, name: str, changes: Mapping[str, object] = {}) -> Path:
    """The config and the facts of a run; its weights are not read."""
    checkpoint = folder / "checkpoints" / "epoch_0003"
    checkpoint.mkdir(parents=True)
    (checkpoint / "meta.json").write_text(json.dumps({"facts": {"data": "RegDB"}}))
    write_resolved(load_checked(config_path(name), changes), folder / "config.yml")
    return folder


def bundle_config(configs: list[str], data: str = "LLCM") -> str:
    training = {"data": data, "configs": configs}
    return json.dumps({"format": 1, "library": "vireid", "version": "0", "training": training, "license": "MIT"})


def write_bundle(folder: Path, config: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("regdb/mmd", {}, ("regdb/mmd",)),
        ("regdb/mmd", {"SOLVER.LR": 0.01, "SEED": 3, "DATA.ROOT": "x", "SAMPLER.IDENTITIES": 2}, ("regdb/mmd",)),
        ("regdb/mmd", {"MODEL.BACKBONE.PRETRAINED": False}, ("regdb/mmd",)),
        ("regdb/mmd", {"MODEL.BACKBONE.ARCH": "resnet18"}, ()),
        ("regdb/mmd", {"MODEL.HEADS.ID.NAME": "IdentityHead", "MODEL.POOL.P": 2.0}, ()),
        ("regdb/mmd", {"OBJECTIVE.MMD.MARGIN": 1.0}, ()),
        ("sysu/ddag_pae_aal", {}, ("sysu/ddag_pae_aal",)),
        ("sysu/paenet_paper", {}, (*TABLE4, "sysu/paenet_table4_pae_fixed")),
    ],
)
def test_a_config_agrees_in_dataset_model_and_objective(tmp_path, name, changes, expected):
    run = write_run(tmp_path / "run", name, changes)
    assert shipped_names(read_unchecked(run / "config.yml")) == expected


@pytest.fixture
def folder(tmp_path) -> Path:
    """Runs and bundles, some of them without weights or damaged."""
    root = tmp_path / "models"
    write_run(root / "runs" / "a", "regdb/mmd")
    write_run(root / "runs" / "mine", "regdb/mmd", {"MODEL.BACKBONE.ARCH": "resnet18"})
    write_run(root / "runs" / "begun", "regdb/mmd").joinpath("checkpoints/epoch_0003").rename(tmp_path / "elsewhere")
    write_run(root / ".hidden", "regdb/mmd")
    write_bundle(root / "b", bundle_config(["sysu/agw"]))
    write_bundle(root / "b" / "below", bundle_config(["sysu/hct"]))
    write_bundle(root / "old", bundle_config([]))
    write_bundle(root / "damaged", '{"library": "timm"}')
    (root / "notes").mkdir()
    (root / "notes" / "config.json").write_text("{}")
    return root


def test_runs_and_bundles_of_a_folder_are_found(folder):
    found = {each.name: each for each in vireid.list_models(weights=folder)}
    assert list(found) == ["b", "damaged", "old", "runs/a", "runs/mine"]
    assert found["runs/a"] == ModelWeights(str(folder / "runs" / "a"), "runs/a", "run", ("regdb/mmd",), "RegDB")
    assert found["b"] == ModelWeights(str(folder / "b"), "b", "bundle", ("sysu/agw",), "LLCM", "MIT")
    assert (found["runs/mine"].configs, found["old"].configs) == ((), ())
    assert "is not the config of a vireid bundle" in found["damaged"].problem
    (run,) = vireid.list_models(weights=folder / "runs" / "a")
    assert (run.name, run.path) == ("a", str(folder / "runs" / "a"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("sysu/*", ["b"]), ("*mmd", ["runs/a"]), ("runs/*", ["runs/a", "runs/mine"]), ("dam?ged", ["damaged"]), ("x", [])],
)
def test_a_pattern_is_compared_with_config_and_path(folder, pattern, expected):
    assert [each.name for each in vireid.list_models(pattern, weights=str(folder))] == expected


def test_models_of_an_owner_are_found(hub):
    card = 'library_name: "vireid"'
    hub.add(
        "ann/mmd", {"README.md": card, "config.json": bundle_config(["regdb/mmd"], "RegDB"), "model.safetensors": ""}
    )
    hub.add("ann/secret", {"README.md": card, "config.json": bundle_config([])}, private=True)
    hub.add("ann/empty", {"README.md": card})
    hub.add("ann/other", {"README.md": 'library_name: "timm"', "config.json": "{}"})
    hub.add("bob/mmd", {"README.md": card, "config.json": bundle_config([])})
    found = {each.name: each for each in vireid.list_models(weights="hf://ann")}
    assert list(found) == ["empty", "mmd", "secret"]
    assert found["mmd"] == ModelWeights("hf://ann/mmd", "mmd", "hub", ("regdb/mmd",), "RegDB", "MIT")
    assert "hf://ann/empty: has no config.json" in found["empty"].problem
    assert not [path for method, path, _ in hub.requests if path.endswith("model.safetensors")]
    assert [each.path for each in vireid.list_models("regdb/*", weights="hf://ann/")] == ["hf://ann/mmd"]
    assert vireid.list_models(weights="hf://nobody") == []
    hub.failing = 403
    with pytest.raises(UserError, match="hf://ann: the hub answered with status 403"):
        vireid.list_models(weights="hf://ann")


def test_a_place_without_models_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing: is not a folder; name a folder of runs or bundles, or hf://OWNER"):
        vireid.list_models(weights=tmp_path / "nothing")
    with pytest.raises(ArgumentError, match="weights must be a folder or hf://OWNER, got 'hf://ann/mmd'"):
        vireid.list_models(weights="hf://ann/mmd")


def test_the_command(folder, capsys):
    assert main(["list", "models", "sysu/*", "--weights", str(folder)]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "config"
    assert row.split() == ["sysu/agw", "bundle", str(folder / "b"), "LLCM", "MIT"]
    assert main(["list", "models", "--weights", str(folder)]) == 0
    assert "damaged cannot be read: " in capsys.readouterr().out
    assert main(["list", "models", "b", "--weights", str(folder), "--names"]) == 0
    assert capsys.readouterr().out == f"{folder / 'b'}\n"
    assert main(["list", "models", "oldd", "--weights", str(folder)]) == 2
    assert "no trained model matches 'oldd'; did you mean 'old'?" in capsys.readouterr().err
    assert main(["list", "losses", "--weights", str(folder)]) == 2
    assert "--weights is an option of `vireid list models`" in capsys.readouterr().err


def test_without_weights_the_command_lists_the_shipped_models(capsys):
    assert main(["list", "models", "sysu/agw*"]) == 0
    assert capsys.readouterr().out.split() == vireid.list_models("sysu/agw*")
