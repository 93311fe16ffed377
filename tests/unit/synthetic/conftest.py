"""One small written dataset for the tests that read it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.synthetic import Recipe, write_dataset

SMALL = Recipe(identities=8, images=2, seed=3, size=(64, 32))


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "small"
    assert write_dataset(folder, SMALL, progress=False)
    return folder


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    return SMALL
