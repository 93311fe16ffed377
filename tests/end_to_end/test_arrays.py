"""SYSU-MM01 of which the training set is only there as the released pre-processed arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vireid.core.types import Modality
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.images.cache import open_images


def preprocess(people: Path, out: Path, size: tuple[int, int]) -> None:
    """What the released code writes, in its order, without the separator that it forgets."""
    samples = SysuMM01(root=str(people)).train()
    images = open_images(samples, size=size, folder=out / "made")
    for modality, word in ((Modality.VISIBLE, "rgb"), (Modality.INFRARED, "ir")):
        rows = [row for row, sample in enumerate(samples) if sample.modality == modality]
        np.save(out / f"ori_datatrain_{word}_resized_img.npy", images.take(rows, axis=0))
        labels = np.array([samples[row].identity for row in rows])
        np.save(out / f"ori_datatrain_{word}_resized_label.npy", labels)


def test_arrays_train_and_their_checkpoint_fits_the_folders(train, people, cache, tmp_path, capsys):
    preprocess(people, tmp_path, (64, 32))
    run = tmp_path / "run"
    settings = ["DATA.NAME", "SysuArrays", "DATA.ARRAYS", tmp_path / "ori_data"]
    own = tmp_path / "cache"
    assert train(run, *settings, "SOLVER.EPOCHS", 1, "CACHE_DIR", own) == 0
    assert len(list(own.glob("*.npy"))) == 1  # of the test images; the arrays are read where they lie
    results = json.loads((run / "metrics.json").read_text())["results"]
    weights = run / "checkpoints" / "epoch_0001"
    again = tmp_path / "again"
    assert train(again, "--eval-only", "WEIGHTS", weights) == 0  # from SysuMM01's folders
    assert json.loads((again / "metrics.json").read_text())["results"]["all"]["mean"] == results["all"]["mean"]


def test_another_size_is_refused(train, people, tmp_path, capsys):
    preprocess(people, tmp_path, (48, 24))
    settings = ["DATA.NAME", "SysuArrays", "DATA.ARRAYS", tmp_path / "ori_data"]
    assert train(tmp_path / "run", *settings) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: arrays of images cannot be used (2 faults):\n")
    assert "_img.npy holds images of 48 x 24 (height x width), but SIZE is 64 x 32: set SIZE to [48, 24]" in text
