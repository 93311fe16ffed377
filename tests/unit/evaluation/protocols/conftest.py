"""Tables of nothing but identities, cameras and modalities."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from vireid.core.types import EmbeddingTable, Modality


@pytest.fixture
def table_of() -> Callable[[Mapping[tuple[Modality, int, int], int]], EmbeddingTable]:
    """{(modality, identity, camera): number of images} -> table, in that order."""

    def make(images: Mapping[tuple[Modality, int, int], int]) -> EmbeddingTable:
        rows = [key for key, count in images.items() for _ in range(count)]
        modality, labels, cameras = np.array(rows, np.int64).reshape(-1, 3).T
        return EmbeddingTable(np.zeros((len(rows), 1), np.float32), labels, cameras, modality)

    return make
