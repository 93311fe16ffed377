"""Push to a hub, load and pull from it, against a server on this machine."""

from __future__ import annotations

import json
import shutil
import traceback
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml

import vireid
from vireid.cli.main import main
from vireid.core.errors import ArgumentError, CheckpointError, UserError

LICENSE, DATA = "CC BY-NC 4.0", "images of a test"
FILES = {"README.md", "config.json", "model.safetensors"}


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory) -> Path:
    return vireid.save_bundle(run, tmp_path_factory.mktemp("bundles") / "csv", license=LICENSE)


@pytest.fixture
def pushed(hub, bundle) -> str:
    """A model on the hub."""
    return vireid.push_to_hub(bundle, "ann/mmd", training_data=DATA)


def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 50, 30, 3), dtype=np.uint8)


def embeddings(model: str | Path | vireid.Embedder) -> np.ndarray:
    embedder = model if isinstance(model, vireid.Embedder) else vireid.load(model)
    return embedder(pictures(), modality="infrared")


def header(hub, repo: str = "ann/mmd") -> dict:
    return yaml.safe_load(hub.files(repo)["README.md"].decode().split("---\n")[1])


@pytest.mark.parametrize("source", ["run", "bundle"])
def test_a_pushed_model_gives_the_embeddings_of_its_run(hub, run, bundle, source):
    model = {"run": run, "bundle": bundle}[source]
    reference = vireid.push_to_hub(model, "ann/mmd", license=LICENSE, training_data=DATA, message="first")
    commit = reference.removeprefix("hf://ann/mmd@")
    assert set(hub.files("ann/mmd", commit)) == FILES | {".gitattributes"}
    assert hub.repositories["ann/mmd"].messages == ["files", "first"]
    assert not hub.repositories["ann/mmd"].private
    expected = embeddings(run)
    for place in (reference, "hf://ann/mmd", Path("hf://ann/mmd")):
        np.testing.assert_array_equal(embeddings(place), expected)


def test_only_the_files_of_the_bundle_are_uploaded(hub, bundle, tmp_path):
    folder = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (folder / "notes.txt").write_text("private")
    vireid.push_to_hub(folder, "ann/mmd", training_data=DATA)
    assert set(hub.files("ann/mmd")) == FILES | {".gitattributes"}
    assert hub.files("ann/mmd")["model.safetensors"] == (bundle / "model.safetensors").read_bytes()


def test_the_card_names_license_data_results_and_the_repository(hub, bundle, pushed):
    text = hub.files("ann/mmd")["README.md"].decode()
    assert 'vireid.load("hf://ann/mmd")' in text
    assert f"| Training data | {DATA}, 4 identities |" in text
    card = huggingface_hub.ModelCard(text)  # the parser of the hub
    assert (card.data.license, card.data.library_name) == ("cc-by-nc-4.0", "vireid")
    assert card.data.pipeline_tag == "image-feature-extraction"
    metrics = json.loads((bundle / "config.json").read_text())["metrics"]["i2v"]
    found = {result.metric_type: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in found.items()} == metrics["mean"]
    assert found["mAP"].dataset_name == "CsvDataset, i2v"
    assert found["mAP"].dataset_args == metrics["conditions"]


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("Apache License 2.0", {"license": "apache-2.0"}),
        ("MIT", {"license": "mit"}),
        ("GPLv3", {"license": "gpl-3.0"}),
        ("For research only", {"license": "other", "license_name": "for-research-only"}),
    ],
)
def test_a_license_that_the_hub_lists_is_written_with_its_identifier(hub, bundle, license, expected):
    vireid.push_to_hub(bundle, "ann/mmd", license=license, training_data=DATA)
    found = header(hub)
    assert {name: found[name] for name in found if name.startswith("license")} == expected
    assert json.loads(hub.files("ann/mmd")["config.json"])["license"] == license


def test_license_and_training_data_are_required(hub, run, bundle):
    with pytest.raises(ArgumentError, match=r"license is missing, .* license='CC BY-NC 4\.0'") as caught:
        vireid.push_to_hub(run, "ann/mmd", training_data=DATA)
    assert caught.value.parameter == "license"
    with pytest.raises(ArgumentError, match=r"training_data is missing, .*CsvDataset does not state it") as caught:
        vireid.push_to_hub(bundle, "ann/mmd")
    assert caught.value.parameter == "training_data"
    assert not hub.requests


def test_the_name_of_the_training_data_stays_with_the_bundle(hub, pushed, tmp_path):
    folder = vireid.pull_from_hub("ann/mmd", tmp_path / "pulled")
    vireid.push_to_hub(folder, "bob/mmd")
    assert f"| Training data | {DATA}, 4 identities |" in hub.files("bob/mmd")["README.md"].decode()


def test_a_private_repository_is_private_and_a_public_one_is_refused(hub, bundle, monkeypatch, pushed):
    vireid.push_to_hub(bundle, "ann/secret", training_data=DATA, private=True)
    assert hub.repositories["ann/secret"].private
    before = hub.repositories["ann/mmd"].branches.copy()
    with pytest.raises(UserError, match="hf://ann/mmd: exists and is public; make it private"):
        vireid.push_to_hub(bundle, "ann/mmd", training_data=DATA, private=True)
    assert hub.repositories["ann/mmd"].branches == before
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="does not exist, or it is private"):
        vireid.load("hf://ann/secret")


def test_a_branch_is_created_and_the_main_branch_is_unchanged(hub, bundle, pushed):
    before = hub.files("ann/mmd")
    for license in ("MIT", "ISC"):
        vireid.push_to_hub(bundle, "ann/mmd", license=license, training_data=DATA, revision="exp/1")
    assert hub.files("ann/mmd") == before
    assert json.loads(hub.files("ann/mmd", "exp/1")["config.json"])["license"] == "ISC"
    assert vireid.from_hub("ann/mmd", revision="exp/1").fingerprint == vireid.load("hf://ann/mmd@exp/1").fingerprint


def test_from_hub_takes_another_hub_and_cache(hub, monkeypatch, pushed, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the port "discard"
    embedder = vireid.from_hub("ann/mmd", endpoint=hub.endpoint, cache_dir=tmp_path / "cache", batch=2)
    assert embedder.batch == 2
    assert list((tmp_path / "cache").glob("models--ann--mmd/snapshots/*/config.json"))
    with pytest.raises(ArgumentError, match="revision is 'v2', and repo_id names 'v1'"):
        vireid.from_hub("ann/mmd@v1", revision="v2")


def test_offline_the_cache_is_used(hub, bundle, monkeypatch, pushed):
    from huggingface_hub import constants

    expected = embeddings("hf://ann/mmd")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    np.testing.assert_array_equal(embeddings("hf://ann/mmd"), expected)
    np.testing.assert_array_equal(embeddings(pushed), expected)
    with pytest.raises(UserError, match=r"hf://ann/other: HF_HUB_OFFLINE is set and the files are not in the cache"):
        vireid.load("hf://ann/other")
    with pytest.raises(UserError, match=r"hf://ann/mmd: HF_HUB_OFFLINE is set, .* unset it"):
        vireid.push_to_hub(bundle, "ann/mmd", training_data=DATA)
    assert not hub.requests


def test_without_a_connection_the_cache_is_used(hub, pushed, tmp_path):
    expected = embeddings("hf://ann/mmd")
    hub.stop()
    huggingface_hub.close_session()  # open connections would still be served
    np.testing.assert_array_equal(embeddings("hf://ann/mmd"), expected)
    with pytest.raises(UserError, match=r"hf://ann/mmd: the hub cannot be reached, and the files are not in the cache"):
        vireid.from_hub("ann/mmd", cache_dir=tmp_path)


def test_damaged_files_are_refused(hub, pushed, tmp_path):
    repository = hub.repositories["ann/mmd"]
    weights = hub.files("ann/mmd")["model.safetensors"]
    repository.commit("main", {"model.safetensors": weights[:-8] + b"\0\0\x80\x3f" * 2}, "damaged")
    for call in (lambda: vireid.load("hf://ann/mmd"), lambda: vireid.pull_from_hub("ann/mmd", tmp_path / "out")):
        with pytest.raises(CheckpointError, match=r"hf://ann/mmd: .*fingerprint(.|\n)*delete .*models--ann--mmd$"):
            call()
    assert not (tmp_path / "out").exists()
    assert vireid.load(pushed).fingerprint, "the commit before is unchanged"


def test_a_model_with_plug_ins_is_not_loaded_from_a_hub(hub, pushed, tmp_path):
    config = json.loads(hub.files("ann/mmd")["config.json"])
    config["model"]["IMPORTS"] = ["a_module_that_does_not_exist"]
    hub.repositories["ann/mmd"].commit("main", {"config.json": json.dumps(config).encode()}, "plug-in")
    with pytest.raises(
        UserError, match=r"needs the plug-ins a_module_that_does_not_exist, .*`vireid pull ann/mmd --out"
    ):
        vireid.load("hf://ann/mmd")
    folder = vireid.pull_from_hub("ann/mmd", tmp_path / "out")
    with pytest.raises(UserError, match="'a_module_that_does_not_exist' cannot be imported"):
        vireid.load(folder)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: vireid.load("hf://ann/none"), "hf://ann/none: does not exist, or it is private"),
        (lambda: vireid.load("hf://ann/mmd@v9"), "hf://ann/mmd@v9: this revision does not exist"),
        (lambda: vireid.load("hf://ann/text"), r"hf://ann/text: has no model\.safetensors and no config\.json"),
        (lambda: vireid.load("hf://ann/gated"), "hf://ann/gated: access must be granted by its owner"),
        (lambda: vireid.load("hf://mmd"), r"repo_id must be OWNER/NAME or OWNER/NAME@REVISION .*, got 'hf://mmd'"),
        (lambda: vireid.load("hf://ann/mmd@"), r"repo_id must be OWNER/NAME"),
        (lambda: vireid.load("hf://ann/m..d"), r"repo_id must be OWNER/NAME"),
    ],
)
def test_what_the_hub_does_not_have_is_one_error(hub, pushed, monkeypatch, call, text):
    hub.add("ann/text", {"README.md": "text"})
    hub.add("ann/gated", {}, gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_read_only")
    with pytest.raises(UserError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("token", "status", "text"),
    [
        (
            "hf_read_only",
            None,
            r"hf://ann/new: the hub answered with status 403 \(this token has no write permission\)",
        ),
        (None, None, r"hf://ann/new: the hub answered with status 401 .*log in with `hf auth login`, or set HF_TOKEN"),
        ("hf_stub_token_that_must_stay_secret", 503, r"status 503 \(maintenance\): try again later"),
    ],
)
def test_a_refused_upload_is_one_error_without_the_token(hub, bundle, monkeypatch, token, status, text):
    monkeypatch.delenv("HF_TOKEN")
    hub.failing = status
    with pytest.raises(UserError, match=text) as caught:
        vireid.push_to_hub(bundle, "ann/new", training_data=DATA, token=token)
    shown = "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    assert token is None or token not in shown
    assert {sent for _, _, sent in hub.requests} == {token}


def test_a_token_that_cannot_be_sent_is_not_shown(hub, bundle):
    with pytest.raises(ArgumentError, match="token must be printable ASCII") as caught:
        vireid.push_to_hub(bundle, "ann/mmd", training_data=DATA, token="hf_" + "secret\n")
    assert "hf_secret" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_library_is_named(hub, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"needs the package huggingface_hub .*pip install 'vireid\[hub\]'"):
        vireid.load("hf://ann/mmd")


def test_the_commands(hub, run, tmp_path, capsys):
    words = ["push", str(run), "ann/mmd", "--private", "--training-data", DATA]
    assert main(words) == 2
    assert "license is missing" in capsys.readouterr().err
    assert main([*words, "--license", LICENSE]) == 0
    assert 'uploaded; vireid.load("hf://ann/mmd@' in capsys.readouterr().out
    out = tmp_path / "new" / "mmd"
    assert main(["pull", "ann/mmd", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: trained on {DATA}, 4 identities; license {LICENSE}\n"
    assert {path.name for path in out.iterdir()} == FILES
    np.testing.assert_array_equal(embeddings(out), embeddings(run))
    assert main(["pull", "ann/none", "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: hf://ann/none: does not exist")
    assert "Traceback" not in captured.err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert main(["pull", "ann/mmd", "--out", str(tmp_path / "other")]) == 2
    assert "exists and is not a bundle" in capsys.readouterr().err


def test_a_config_of_others_neither_reads_local_files_nor_downloads_weights(hub, pushed, tmp_path):
    config = json.loads(hub.files("ann/mmd")["config.json"])
    config["model"]["MODEL"]["BACKBONE"] |= {"PRETRAINED": True, "WEIGHTS": str(tmp_path / "secret.safetensors")}
    hub.repositories["ann/mmd"].commit("main", {"config.json": json.dumps(config).encode()}, "changed")
    np.testing.assert_array_equal(embeddings("hf://ann/mmd"), embeddings(pushed))
