"""A bundle: what it holds, that it gives the embeddings of its run, and what is wrong with a damaged one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import vireid
from vireid.cli.main import main
from vireid.core.errors import CheckpointError, ConfigError, UserError
from vireid.core.types import DatasetInfo
from vireid.embedder.bundle import FORMAT
from vireid.embedder.description import ModelDescription
from vireid.embedder.embedder import Embedder
from vireid.engine.checkpoint import load_model
from vireid.engine.distributed import Environment
from vireid.runs.metrics import Metrics


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory) -> Path:
    return vireid.save_bundle(run, tmp_path_factory.mktemp("bundles") / "csv", license="CC BY-NC 4.0")


@pytest.fixture
def copied(bundle, tmp_path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def edit(folder: Path, *keys: str, value: object) -> None:
    """Change one value of `config.json`."""
    content = json.loads((folder / "config.json").read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    (folder / "config.json").write_text(json.dumps(content))


def pictures(number: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (number, 50, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_a_bundle_gives_the_embeddings_of_its_run(run, bundle, modality):
    of_run, of_bundle = vireid.load(run), vireid.load(bundle)
    expected, found = (embedder(pictures(), modality=modality) for embedder in (of_run, of_bundle))
    np.testing.assert_array_equal(found, expected)
    assert of_run.fingerprint == of_bundle.fingerprint
    assert of_bundle.width == found.shape[1]


def test_it_has_the_files_of_a_model_on_the_hub(run, bundle):
    assert sorted(path.name for path in bundle.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    tensors, trained = (
        load_file(bundle / "model.safetensors"),
        load_file(run / "checkpoints" / "epoch_0001" / "model.safetensors"),
    )
    assert trained.keys() - tensors.keys() == {"heads.id.classifier.weight"}
    assert all(torch.equal(tensors[name], trained[name]) for name in tensors)


def test_its_config_states_what_the_model_is(run, bundle):
    content = json.loads((bundle / "config.json").read_text())
    assert (content["format"], content["license"]) == (FORMAT, "CC BY-NC 4.0")
    assert content["preprocessing"]["size"] == [32, 16]
    assert content["model"]["MODEL"]["BACKBONE"]["ARCH"] == "test_resnet"
    assert content["dataset"].keys() == {"identities", "cameras", "attributes"}
    assert (content["training"]["num_ids"], content["training"]["checkpoint"]) == (4, "last epoch (1)")
    assert content["training"]["listing"]["images"] == 16
    assert content["training"]["configs"] == [], "the test network is not that of a shipped config"
    reports = Metrics.read(run / "metrics.json").reports
    assert content["metrics"].keys() == reports.keys()
    for name, report in reports.items():
        assert content["metrics"][name]["mean"] == report.means
        assert content["metrics"][name]["conditions"] == report.conditions


def test_its_card_states_data_license_and_results_with_conditions(run, bundle):
    card = (bundle / "README.md").read_text()
    front = card.split("---\n")[1]
    assert 'license: "cc-by-nc-4.0"' in front
    assert "| License | CC BY-NC 4.0 |" in card
    assert "4 identities |" in card
    for name, report in Metrics.read(run / "metrics.json").reports.items():
        assert f"| {name} | {100 * report.means['rank1']:.1f} |" in card
        assert f"- {name}: " in card
    assert "checkpoint last epoch (1)" in card


def test_no_file_names_a_path_of_this_machine(run, bundle, tmp_path):
    texts = [(bundle / name).read_text() for name in ("README.md", "config.json")]
    for folder in (run, run.parents[1], Path.home()):
        assert not any(str(folder) in text for text in texts)


def test_results_of_other_weights_are_not_taken(run, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "run"))
    metrics = json.loads((other / "metrics.json").read_text())
    for report in metrics["results"].values():
        report["conditions"]["checkpoint"] = "given (other.safetensors)"
    (other / "metrics.json").write_text(json.dumps(metrics))
    folder = vireid.save_bundle(other, tmp_path / "bundle")
    assert json.loads((folder / "config.json").read_text())["metrics"] == {}
    card = (folder / "README.md").read_text()
    assert "The model was not evaluated." in card
    assert "| License | not stated |" in card


def test_the_card_stars_re_ranked_results(run, tmp_path):
    other = Path(shutil.copytree(run, tmp_path / "run"))
    metrics = json.loads((other / "metrics.json").read_text())
    name, report = next(iter(metrics["results"].items()))
    conditions = {**report["conditions"], "transductive": "uses the gallery"}
    metrics["results"]["aim"] = {**report, "conditions": conditions}
    (other / "metrics.json").write_text(json.dumps(metrics))
    folder = vireid.save_bundle(other, tmp_path / "bundle")
    lines = (folder / "README.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith(("| aim", f"| {name} "))] == [
        f"| {name}",
        "| aim *",
    ]
    assert r"\* re-ranked (transductive): the result of a query uses the gallery" in lines


def test_a_bundle_can_be_bundled_again_with_another_license(bundle, tmp_path):
    again = vireid.save_bundle(bundle, tmp_path / "again", license="MIT")
    first, second = (json.loads((folder / "config.json").read_text()) for folder in (bundle, again))
    assert second == {**first, "license": "MIT"}


def test_a_bundle_is_a_start_of_training_and_can_be_evaluated(run, bundle, make_run):
    network = vireid.load(run).network
    for value in network.heads.parameters():
        torch.nn.init.ones_(value)
    before = network.heads["id"].classifier.weight.clone()
    lines = load_model(bundle, network)
    assert len(lines) == 1
    assert torch.equal(network.heads["id"].classifier.weight, before)
    tensors = load_file(bundle / "model.safetensors")
    assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items() if name in tensors)
    assert (make_run(WEIGHTS=bundle) / "metrics.json").is_file()


def test_depth_and_mirror_images_are_kept(make_run, tmp_path):
    run = make_run(FLIP_TEST="sum", DATA__DEPTH="{percentiles: [1, 99]}")
    embedder = vireid.load(vireid.save_bundle(run, tmp_path / "bundle"))
    assert embedder.description.flips == "sum"
    assert str(embedder.description.depth_mapping()) == "percentiles 1 to 99"
    assert embedder.fingerprint == vireid.load(run).fingerprint
    np.testing.assert_array_equal(
        embedder(pictures(), modality="visible"), vireid.load(run)(pictures(), modality="visible")
    )


def test_the_global_random_state_is_unchanged(bundle):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    vireid.load(bundle)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("keys", "value", "text"),
    [
        (["format"], 99, r"is a bundle of format 99, written by vireid .* reads format 1: install a matching version"),
        (["library"], "timm", "is not the config of a vireid bundle"),
        (["preprocessing"], {}, "is damaged: 'normalization' is missing|is damaged: 'size' is missing"),
        (["preprocessing", "normalization"], {"mean": 0}, "another normalization or interpolation"),
        (["preprocessing", "depth"], {"percentile": [1, 99]}, "has no option 'percentile'"),
        (["dataset", "cameras"], "six", "is damaged: invalid literal"),
        (["model"], {"IMPORTS": []}, "is damaged: 'MODEL' is missing"),
    ],
)
def test_another_or_a_damaged_config_is_refused(copied, keys, value, text):
    edit(copied, *keys, value=value)
    with pytest.raises(UserError, match=text):
        vireid.load(copied)


def test_a_network_that_this_version_does_not_have_is_named(copied):
    edit(copied, "model", "MODEL", "POOL", value={"NAME": "GemPool"})
    with pytest.raises(ConfigError) as caught:
        vireid.load(copied)
    assert [problem.key for problem in caught.value.problems] == ["MODEL.POOL.NAME"]


def test_damaged_and_exchanged_weights_are_refused(copied, make_run, tmp_path):
    weights = copied / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-8] + b"\0\0\x80\x3f" * 2)
    with pytest.raises(CheckpointError, match=r"fingerprint .* is not that of config\.json; one of the files was"):
        vireid.load(copied)
    weights.write_bytes(content[:1000])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        vireid.load(copied)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not exist; copy the bundle again"):
        vireid.load(copied)
    (copied / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not readable JSON"):
        vireid.load(copied)


def test_a_folder_of_something_else_is_not_replaced(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and is not a bundle; name another folder"):
        vireid.save_bundle(run, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_model_that_reads_labels_is_refused():
    changes = {"MODEL.ATTRIBUTES.TEST": "labels", "MODEL.ATTRIBUTES.PREDICTOR": True}
    network = vireid.create_model("sysu/mmd_pae_aal", arch="test_resnet", overrides=changes)
    described = ModelDescription(model={}, info=DatasetInfo(), size=(32, 16))
    with pytest.raises(UserError, match=r"MODEL\.ATTRIBUTES\.TEST is 'labels'.*use a run with .* predicted"):
        Embedder(network, described, Environment(device="cpu"))


def test_the_command_writes_a_bundle(run, tmp_path, capsys):
    out = tmp_path / "new" / "bundle"
    assert main(["bundle", str(run), "--out", str(out), "--license", "MIT"]) == 0
    text = capsys.readouterr().out
    assert f"{out}: embeddings of " in text
    assert "4 identities; license MIT" in text
    assert vireid.load(out)(pictures(1), modality="visible").shape[0] == 1
    assert main(["bundle", str(tmp_path), "--out", str(out)]) == 2
    assert "is neither a run folder" in capsys.readouterr().err
