"""What train_net and check_data find in a listing before an image is opened: the same, in the same words."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from vireid.config import Build, load_checked
from vireid.config.validate import listing_findings
from vireid.core.errors import DataError
from vireid.data.listing import list_dataset
from vireid.experiment.experiment import Experiment

ROOT = Path(__file__).parents[3]
BASE = str(ROOT / "configs" / "csv" / "baseline.yml")


def tool(name: str):
    """`main` of tools/<name>.py."""
    spec = importlib.util.spec_from_file_location(f"vireid_tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def words(tmp_path):
    """Write a CSV of empty images and return the overrides of a small run on it.

    Four training and four test identities, one visible and one infrared image each; `camera(identity, modality)`.
    """

    def make(camera=lambda identity, modality: {"visible": 1, "infrared": 2}[modality], drop=(), **settings):
        root = tmp_path / "mine"
        root.mkdir(exist_ok=True)
        lines = ["path,identity,camera,modality,split"]
        for identity in range(8):
            for modality in ("visible", "infrared"):
                if (identity, modality) in drop:
                    continue
                name = f"{identity}_{modality}.jpg"
                (root / name).touch()
                split = "train" if identity < 4 else "test"
                lines.append(f"{name},{identity},{camera(identity, modality)},{modality},{split}")
        (root / "images.csv").write_text("\n".join(lines))
        values = {
            "DATA.ROOT": root,
            "OUTPUT_DIR": tmp_path / "run",
            "CACHE_DIR": tmp_path / "cache",
            "MODEL.BACKBONE.ARCH": "resnet10t",
            "MODEL.BACKBONE.PRETRAINED": "false",
            "SAMPLER.IDENTITIES": 2,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        return [str(word) for pair in values.items() for word in pair]

    return make


def findings(overrides):
    build = Build(load_checked(BASE, overrides))
    found = listing_findings(build, list_dataset(build.dataset()))
    return [[str(each) for each in found if each.severity == severity] for severity in ("fault", "note")]


def check_both(overrides, text, tmp_path, capsys):
    """train_net and check_data refuse with this text; no image was opened and no checkpoint written."""
    assert tool("train_net")(["--config-file", BASE, *overrides]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert tool("check_data")(["--config-file", BASE, "--quick", *overrides]) == 1
    out = capsys.readouterr().out
    assert "What the settings need and the images do not have:" in out
    assert text in " ".join(out.split()) or text in out


def test_camera_0_for_every_image_is_refused_by_both(words, tmp_path, capsys):
    text = (
        "EVALUATION.I2V: all images: none of the 4 queries has a correct gallery image that counts: all 4 pairs of a"
        " query and a correct gallery image are ignored (junk), because every test image has camera 0"
    )
    check_both(words(camera=lambda identity, modality: 0), text, tmp_path, capsys)
    check_both(words(camera=lambda identity, modality: "0.0"), text, tmp_path, capsys)


def test_cameras_of_the_settings_that_match_nothing_are_refused_by_both(words, tmp_path, capsys):
    text = (
        "EVALUATION.I2V: QueryGalleryProtocol: exclude: camera 6 does not exist (cameras of the test images: visible 1;"
    )
    check_both(words(EVALUATION__I2V__EXCLUDE="[[6, 1]]"), text, tmp_path, capsys)
    text = "EVALUATION.I2V: QueryGalleryProtocol: query_cameras: no camera is named 'gaet'; did you mean 'gate'?"
    named = words(
        camera=lambda identity, modality: {"visible": "yard", "infrared": "gate"}[modality],
        EVALUATION__I2V__QUERY_CAMERAS="[gaet]",
    )
    check_both(named, text, tmp_path, capsys)


def test_names_and_floats_of_cameras_are_accepted(words):
    named = words(
        camera=lambda identity, modality: {"visible": f"c{1 + 9 * (identity % 2)}", "infrared": "c2"}[modality],
        EVALUATION__I2V__GALLERY_CAMERAS="[c10]",
        EVALUATION__I2V__SAME_CAMERA="counted",
    )
    faults, notes = findings(named)
    assert faults == []
    assert notes == [
        "EVALUATION.I2V: skipped queries: 2 of 4 (no correct gallery image counts for them; they are in no mean)"
    ]
    floats = words(
        camera=lambda identity, modality: {"visible": f"{3 + identity % 2}.0", "infrared": "6.0"}[modality],
        EVALUATION__I2V__EXCLUDE="[[6, 3]]",
        EVALUATION__I2V__SAME_CAMERA="counted",
    )
    assert findings(floats) == [[], notes]


def test_train_net_prints_the_notes_and_check_data_lists_them(words, capsys):
    overrides = words(drop=[(5, "visible")], EVALUATION__I2V__SAME_CAMERA="counted")
    line = "EVALUATION.I2V: skipped queries: 1 of 4 (no correct gallery image counts for them; they are in no mean)"
    with pytest.raises(DataError, match="image"):  # the images are empty files
        Experiment.from_config(BASE, overrides).train()
    assert f"note: {line}" in capsys.readouterr().out
    assert tool("check_data")(["--config-file", BASE, "--quick", *overrides]) == 0
    assert line in capsys.readouterr().out


def test_a_rule_without_effect_is_a_note(words):
    faults, (note,) = findings(words())
    assert faults == []
    assert note.startswith("EVALUATION.I2V: same_camera: not_counted_for_same_person has no effect")


def test_faults_of_all_kinds_are_found_together(words):
    faults, _ = findings(words(EVALUATION__I2V__EXCLUDE="[[6, 1]]", SAMPLER__IDENTITIES=5))
    assert len(faults) == 2
    assert faults[0].startswith("EVALUATION.I2V: QueryGalleryProtocol: exclude: camera 6 does not exist")
    assert "SAMPLER.IDENTITIES = 5, but the training set has only 4 identities" in faults[1]
    faults, _ = findings(words(HELDOUT_IDENTITIES=3, SELECT="heldout", EVALUATE_EVERY=1))
    assert len(faults) == 1
    assert faults[0].startswith("HELDOUT_IDENTITIES = 3, but the training set has only 4 identities")


def test_check_data_shows_names_beside_numbers(words, capsys):
    overrides = words(camera=lambda identity, modality: {"visible": "c10", "infrared": "c2"}[modality])
    assert tool("check_data")(["--config-file", BASE, "--quick", *overrides]) == 0
    out = capsys.readouterr().out
    assert "camera 1 (c2, infrared)" in out
    assert "camera 2 (c10, visible)" in out


def test_labels_beyond_64_bits_are_faults_of_any_dataset(words):
    build = Build(load_checked(BASE, words()))
    train = build.dataset().train()

    class Listed:
        def train(self):
            return train

        def test(self):
            from dataclasses import replace

            return [replace(train[0], identity=10**21)]

        def facts(self):
            return build.info

    (finding,) = list_dataset(Listed()).findings
    assert finding.text == f"labels that are not 64-bit integers: {train[0].path}: identity 1000000000000000000000"


def test_evaluations_that_never_happen_are_refused_by_both(words, tmp_path, capsys):
    text = "SELECT = 'test' chooses among evaluations, and EVALUATE_EVERY = 999 makes none in"
    check_both(words(SELECT="test", EVALUATE_EVERY=999), text, tmp_path, capsys)


def test_weights_that_do_not_exist_are_refused_before_an_image_is_read(words, tmp_path, capsys):
    assert tool("train_net")(["--config-file", BASE, *words(WEIGHTS=tmp_path / "gone.safetensors")]) == 2
    assert f"error: WEIGHTS: {tmp_path / 'gone.safetensors'} does not exist" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
