from __future__ import annotations

import numpy as np
import pytest


def people(images: int, *, identities: int, width: int = 32, spread: float = 0.4, seed: int = 0) -> np.ndarray:
    """(N, D) unit rows in clusters."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((identities, width))[rng.integers(0, identities, images)]
    rows = rows + spread * rng.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def sides():
    """Queries (40, 32) and a gallery (2000, 32)."""
    rows = people(2040, identities=150)
    return rows[:40], rows[40:]


@pytest.fixture(scope="session")
def truth(sides):
    """(40, 10) ids of the best answers, best first."""
    return np.argsort(-(sides[0] @ sides[1].T), axis=1, kind="stable")[:, :10]
