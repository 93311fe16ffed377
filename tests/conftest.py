"""Shared fixtures. One thread in each process, so that results do not depend on the machine; no clock in any assertion.

`make test` runs the tests in several processes (pytest-xdist, `--dist loadfile`). A module stays in one process, so
that its module fixtures are made once. What several processes need is made once by `shared`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes that tests start inherit it

import hypothesis
import pytest
import torch
from filelock import FileLock

from vireid.config.load import read_unchecked
from vireid.core.types import Batch, DatasetInfo
from vireid.testing import TINY, tiny_batch

torch.set_num_threads(1)
hypothesis.settings.register_profile("vireid", deadline=None, max_examples=40, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("vireid")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Make a folder once for all test processes: its name and a function that fills it -> the folder.

    The folder is read-only for tests. The function gets a path that does not exist yet.
    """
    base = tmp_path_factory.getbasetemp()
    common = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    common.mkdir(exist_ok=True)

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = common / name, common / f"{name}.done"
        with FileLock(common / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return get


TINY_NETWORKS = {  # backbone -> overrides that make it tiny, for images of 96 x 32
    "TwoStreamViT": {"MODEL.BACKBONE.ARCH": "test_vit", "SIZE": [96, 32]},
}


@pytest.fixture(scope="session")
def tiny_network() -> Callable[[Path], dict]:
    """Overrides that give a config a tiny backbone of its family, without weights: path of the config -> overrides."""

    def changes(file: Path) -> dict:
        network = TINY_NETWORKS.get(read_unchecked(file).MODEL.BACKBONE.NAME, {"MODEL.BACKBONE.ARCH": "test_resnet"})
        return {**network, "MODEL.BACKBONE.PRETRAINED": False, "MODEL.BACKBONE.WEIGHTS": None}

    return changes


@pytest.fixture
def batch() -> Batch:
    """24 rows: 4 identities, 3 images in each modality, shuffled."""
    return tiny_batch()


@pytest.fixture
def facts() -> DatasetInfo:
    return TINY
