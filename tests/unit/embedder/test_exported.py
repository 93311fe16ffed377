"""Export of a run by the command, and evaluation of the file on the dataset of the run."""

from __future__ import annotations

import pytest

import vireid
from vireid.cli.main import main
from vireid.core.errors import UserError
from vireid.export import evaluate_exported, export_model
from vireid.runs.metrics import Metrics


def test_the_command_exports_and_evaluates_a_run(run, images, tmp_path, capsys):
    file = tmp_path / "model.pt2"
    words = ["export", str(run), "--format", "torch", "--out", str(file), "--images", str(images), "--evaluate"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert f"{file}: embeddings of " in text
    assert "compared with the network on 32 images (given images): smallest cosine 1.000000" in text
    scores = evaluate_exported(file, run, trusted=True)
    reports = Metrics.read(run / "metrics.json").reports
    assert scores.keys() == reports.keys()
    for name, report in reports.items():
        assert scores[name]["network"] == pytest.approx(report.means, abs=1e-6)
        assert scores[name]["exported"] == pytest.approx(report.means, abs=1e-6)
        rank1 = f"{100 * report.means['rank1']:.2f}"
        assert f"{name} rank1: {rank1} -> {rank1} (+0.00)" in text


def test_a_bundle_is_exported_with_its_license(run, tmp_path):
    bundle = vireid.save_bundle(run, tmp_path / "bundle", license="CC BY-NC 4.0")
    file = tmp_path / "model.pt2"
    assert main(["export", str(bundle), "--format", "torch", "--modality", "visible", "--out", str(file)]) == 0
    with pytest.raises(UserError, match=r"model\.pt2: PyTorch unpickles parts of a \.pt2 file.*pass trusted=True"):
        vireid.load(file)
    with pytest.raises(UserError, match="pass trusted=True"):
        evaluate_exported(file, run)
    assert vireid.load(file, trusted=True).model.content["license"] == "CC BY-NC 4.0"  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"embeds visible images only; export it with --modality both"):
        evaluate_exported(file, run, trusted=True)
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "model.onnx")]) == 2
    assert main(["export", str(bundle), "--format", "torch", "--out", str(file), "--evaluate"]) == 2


def test_another_run_is_not_evaluated(run, make_run, tmp_path):
    file = export_model(vireid.load(run), tmp_path / "model.pt2", format="torch").path
    with pytest.raises(UserError, match=r"was not exported from .*: the fingerprints differ; name its run"):
        evaluate_exported(file, make_run(FLIP_TEST="unit"), trusted=True)
