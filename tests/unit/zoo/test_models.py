from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vireid
from vireid.core.errors import ArgumentError, ConfigError, UserError
from vireid.zoo import models as zoo

ROOT = Path(__file__).parents[3]
METHODS = ("baseline", "agw", "hct", "mmd")
TINY = {"arch": "resnet10t", "num_ids": 5}


def test_every_method_is_there_for_every_data_set():
    expected = {f"{dataset}/{method}" for dataset in ("sysu", "regdb", "llcm") for method in METHODS}
    assert expected <= set(vireid.list_models())
    assert {"llcm/agw", "regdb/agw", "sysu/agw"} <= set(vireid.list_models("*agw*"))
    assert not any("hct" in name for name in vireid.list_models("*agw*"))
    assert vireid.list_models("nothing") == []


def test_parts_of_compositions_are_no_models():
    assert not [name for name in vireid.list_models() if name.split("/")[0] in ("datasets", "methods", "plugins")]


@pytest.mark.parametrize("name", ["sysu/agw", "regdb/hct", "llcm/mmd", "baseline"])
def test_a_model_is_the_network_of_its_config(name, batch):
    model = vireid.create_model(name, **TINY).eval()
    images = torch.randn(4, 3, 96, 32)
    rows = batch.select(torch.arange(4)).with_images(images)
    with torch.no_grad():
        described = model.embed(rows)
    torch.testing.assert_close(described.norm(dim=1), torch.ones(4))
    (head,) = model.heads.values()
    assert 5 in head.dims.values()


def test_a_bare_method_means_sysu():
    assert zoo.config_path("hct") == zoo.config_path("sysu/hct")
    model = vireid.create_model("hct", arch="resnet10t")
    assert model.heads["parts"].dims["part_logits"] == 395, "the data set's own number unless another is given"


def test_overrides_reach_any_key():
    model = vireid.create_model("hct", **TINY, overrides={"MODEL.HEADS.PARTS.NUM_PARTS": 3})
    assert model.heads["parts"].num_parts == 3


def test_a_name_that_is_not_there_suggests_the_nearest():
    with pytest.raises(
        UserError, match=r"model 'sysu/agv' does not exist; did you mean 'sysu/agw'\? \(known: .*regdb/hct"
    ):
        vireid.create_model("sysu/agv")
    with pytest.raises(UserError, match=r"model 'baselin' does not exist; did you mean 'baseline'\?"):
        vireid.create_model("baselin")


def test_values_that_the_config_refuses():
    with pytest.raises(ConfigError, match=r"arch 'resnet10' is not a timm model; did you mean 'resnet10t'\?"):
        vireid.create_model("agw", arch="resnet10")
    with pytest.raises(ArgumentError, match="num_ids must be at least 1, got 0"):
        vireid.create_model("agw", num_ids=0)


def test_pretrained_asks_timm_and_the_default_does_not(monkeypatch):
    import timm

    asked, create = [], timm.create_model

    def note(*words, pretrained, **more):
        asked.append(pretrained)
        return create(*words, pretrained=False, **more)

    monkeypatch.setattr(timm, "create_model", note)
    vireid.create_model("mmd", **TINY)
    assert set(asked) == {False}
    asked.clear()
    vireid.create_model("mmd", **TINY, pretrained=True)
    assert asked.count(True) == 1  # the check builds without weights
    assert asked[-1]


def test_a_local_file_of_weights_in_torchvision_names(tmp_path):
    """The file that torchvision publishes for ResNet-50 has timm's names; its classifier is left out."""
    import torchvision

    torch.manual_seed(0)
    published = torchvision.models.resnet18().state_dict()
    torch.save(published, tmp_path / "resnet18.pth")
    model = vireid.create_model("agw", arch="resnet18", num_ids=5, weights=tmp_path / "resnet18.pth")
    ours = model.backbone.state_dict()
    for stream in ("visible", "infrared"):
        assert torch.equal(ours[f"{stream}.stem.conv1.weight"], published["conv1.weight"])
    names = [name for name in published if name.startswith("layer")]
    for name in names:
        stage, rest = name.removeprefix("layer").split(".", 1)
        assert torch.equal(ours[f"shared.stage{stage}.{rest}"], published[name])


@pytest.mark.slow
def test_works_from_a_wheel(tmp_path):
    """Built without the network from a copy (building leaves files behind), run from another folder."""
    source = tmp_path / "source"
    for name in ("vireid", "configs", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    pytest.importorskip("setuptools", reason="setuptools, which builds the wheel, is not installed")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, source]
    made = subprocess.run(list(map(str, build)), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", tmp_path / "site", wheel]
    subprocess.run(list(map(str, install)), check=True, capture_output=True)
    code = (
        "import vireid, vireid.zoo.configs as zoo, vireid.interop.released as r;"
        "print(vireid.__file__, zoo.config_folder());"
        "print(len(vireid.list_models('*agw*')), len(r.release('mmd').keys));"
        "vireid.create_model('agw', arch='resnet10t', num_ids=3)"
    )
    commands = (
        "import vireid.zoo.catalogue as catalogue; from vireid.zoo.cost import Cost;"
        "catalogue.cost_of = lambda entry: Cost(0, 0, 0, 0);"
        "from vireid.cli.main import run_command;"
        "raise SystemExit(run_command('suite', ['figure4', '--dry-run']) or run_command('zoo'))"
    )
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    assert all(Path(place).is_relative_to(tmp_path / "site") for place in first.split())
    assert second == f"{len(vireid.list_models('*agw*'))} {468}"
    start = [sys.executable, "-c", commands]
    ran = subprocess.run(start, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert "2 different runs" in ran.stdout
    page, committed = ((folder / "MODEL_ZOO.md").read_text(encoding="utf-8") for folder in (tmp_path, ROOT))
    assert page.count("\n| [") == committed.count("\n| [")
    assert page.split("## Sources")[1] == committed.split("## Sources")[1]
