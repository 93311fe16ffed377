"""A gallery embedded by a trained checkpoint, far from its training data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vireid.gallery.store import GalleryStore

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_trained_run_embeds_and_searches_without_its_data_set(train, run_tool, people, tmp_path, capsys):
    run, gallery = tmp_path / "run", tmp_path / "gallery"
    assert train(run, "SOLVER.EPOCHS", 1, "SOLVER.SCHEDULE.DROPS", "[]", "SAMPLER.STEPS", 2) == 0
    config = ["--config-file", run / "config.yml", "--set", "OUTPUT_DIR", run, "--set", "DATA.ROOT", "nowhere"]
    build = ["build", gallery, *config, "--images", people / "cam1", "--modality", "visible", "--camera", 1]
    command = [sys.executable, str(ROOT / "tools" / "gallery.py"), *map(str, build)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    portions = gallery / "portions"
    end = time.monotonic() + 120
    while process.poll() is None and not list(portions.glob("0*.npz")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(GalleryStore(gallery).columns()["path"])
    assert kept > 0, "nothing was acknowledged before the kill"
    assert run_tool("gallery", *build) == 0
    assert f"{kept} already in the gallery" in capsys.readouterr().out
    image = next((people / "cam1").rglob("*.jpg"))
    search = ["search", gallery, *config, "--images", image, "--modality", "visible", "--top", 1]
    assert run_tool("gallery", *search) == 0
    assert str(image) in capsys.readouterr().out.splitlines()[1].split(",")[3]
    weights = run / "checkpoints" / "epoch_0001" / "model.safetensors"
    assert run_tool("gallery", *search, "--set", "WEIGHTS", weights) == 0, "the same weights by another way"
    assert run_tool("gallery", *search, "--set", "SIZE", "[48, 32]") == 2
    assert "was made by another model" in capsys.readouterr().err
    assert np.isfinite(next(GalleryStore(gallery).shards()).embeddings).all()
    assert os.listdir(portions) == ["000000.npz"]
