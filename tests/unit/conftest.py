"""Shared fixtures: a run folder with tiny generated images, as a training and an evaluation write it."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_spec = importlib.util.spec_from_file_location("hub_server", Path(__file__).with_name("hub_server.py"))
assert _spec is not None
assert _spec.loader is not None
HUB_SERVER = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = HUB_SERVER  # dataclasses look up their module there
_spec.loader.exec_module(HUB_SERVER)

CONDITIONS = {
    "protocol": "SYSU-MM01",
    "direction": "infrared to visible",
    "mode": "all",
    "shots": 1,
    "trials": 2,
    "draw": "seeded",
    "feature": "features_bn",
    "re_ranking": "none",
    "attribute_source": "none",
    "checkpoint": "last epoch (3)",
    "precision": "float32",
    "seed": "7",
}
NAMES = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")


def write_log(run: Path) -> None:
    records = []
    for epoch in (1, 2, 3):
        terms = {"loss": 6.0 / epoch, "id": 5.0 / epoch, "triplet": 0.5 / epoch}
        records.append({"event": "step", "epoch": epoch, "step": 10 * epoch, "lr": 0.1, **terms})
        speed = {"images_per_second": 100.0 + epoch, "waiting": 0.02}
        records.append({"event": "epoch", "epoch": epoch, "step": 10 * epoch, "lr": 0.1, **terms, **speed})
        scores = {"rank1": 0.1 * epoch, "mAP": 0.05 * epoch, "mINP": 0.01 * epoch}
        records.append({"event": "evaluation", "epoch": epoch, "step": 10 * epoch, "protocol": "all", **scores})
    records.append({"event": "result", "epoch": "3", "checkpoint": "last epoch (3)"})
    (run / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def write_metrics(run: Path, **changes: object) -> None:
    """Two trials of each protocol, 1.17 points of sample standard deviation, in the format of schema 1 (no chance)."""

    def report(shift: float, mode: str) -> dict:
        values = {name: 0.3124 + shift + 0.1 * number for number, name in enumerate(NAMES)}
        deviation = (0.0117 + shift / 10) / 2**0.5
        trials = [{name: value + sign * deviation for name, value in values.items()} for sign in (-1, 1)]
        return {
            "conditions": {**CONDITIONS, "mode": mode, **changes},
            "mean": values,
            "spread": dict.fromkeys(NAMES, 0.0117 + shift / 10),
            "cmc": np.interp(range(1, 21), (1, 5, 10, 20), list(values.values())[:4]).tolist(),
            "trials": [{"name": f"trial {n}", **row, "queries": 6, "skipped": 1} for n, row in enumerate(trials)],
        }

    results = {"all": report(0.0, "all"), "indoor": report(0.05, "indoor")}
    environment = {"device": "CPU", "precision": "float32", "torch": "2.0 <b>&"}
    (run / "metrics.json").write_text(json.dumps({"results": results, "environment": environment}))


def write_rankings(run: Path, images: Path) -> None:
    """Identities 1, 2, 3; infrared queries of cameras 3, 6; visible gallery of cameras 1, 2; 3 has no camera 2."""
    query = [(identity, camera) for identity in (1, 2, 3) for camera in (3, 6)] + [(9, 3)]
    gallery = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]
    paths = {}
    for identity, camera in query + gallery:
        path = images / f"<script>alert({identity})" / f"cam{camera} & co.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 32), (20 * identity, 10 * camera, 200)).save(path)
        paths[identity, camera] = str(path)
    order = np.array(
        [
            [0, 1, 2, 3, 4],  # both correct matches first
            [0, 2, 1, 3, -1],  # first
            [0, 2, 3, 1, 4],  # second
            [0, 1, 4, 2, 3],  # fourth
            [0, 1, 2, 3, 4],  # last
            [3, 4, 0, 1, 2],  # second
            [0, 1, 2, 3, 4],  # the gallery holds no image of identity 9
        ]
    )
    arrays = {}
    for name in ("all", "indoor"):
        for side, rows in (("query", query), ("gallery", gallery)):
            arrays[f"{name}/{side}_path"] = np.array([paths[row] for row in rows])
            arrays[f"{name}/{side}_id"] = np.array([identity for identity, _ in rows])
            arrays[f"{name}/{side}_camera"] = np.array([camera for _, camera in rows])
        arrays[f"{name}/order"] = order
        score = np.tile(np.linspace(0.9, 0.5, 5, dtype=np.float32), (len(order), 1))
        arrays[f"{name}/score"] = np.where(order < 0, -np.inf, score)
    np.savez_compressed(run / "rankings.npz", **arrays)


def make_trained(folder: Path) -> Path:
    run = folder / "runs" / "tiny <script>alert(1)<"
    run.mkdir(parents=True)
    write_log(run)
    (run / "config.yml").write_text("SEED: 7  # a < b & </pre><script>alert(2)</script>\n")
    return run


def make_finished(folder: Path) -> Path:
    run = make_trained(folder)
    write_metrics(run)
    write_rankings(run, folder / "images")
    return run


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Trained, not evaluated."""
    return make_trained(tmp_path)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return make_finished(tmp_path)


@pytest.fixture(scope="session")
def build_finished_run() -> Callable[[Path], Path]:
    """Function that writes a finished run below a folder and returns the run folder."""
    return make_finished


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty hub on this machine, which is the default hub of the test; no other machine can be reached."""
    import huggingface_hub
    from huggingface_hub import constants

    server = HUB_SERVER.HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", HUB_SERVER.TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    connect = socket.socket.connect

    def only_here(self, address):
        assert address[0] == "127.0.0.1", f"a test must not connect to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)
    huggingface_hub.close_session()
    yield server
    huggingface_hub.close_session()
    server.stop()
