"""Whether faiss works on this machine's card: asked of a search whose answer is known, not of version numbers."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import torch

from vireid.core.errors import UserError

log = logging.getLogger(__name__)


def import_faiss() -> Any:
    """The module; UserError that says what to install otherwise."""
    try:
        import faiss
    except ImportError as missing:
        raise UserError(
            "this index needs the package faiss: pip install faiss-cpu, or use TorchExact, which needs none"
        ) from missing
    return faiss


def gpu_resources() -> Any | None:
    """faiss's resources of the first card, where searches on it give right answers; None where there is no card.

    Raises `FaissGpuError` where there is a card and faiss does not work on it.
    """
    return _probed() if torch.cuda.is_available() else None


class FaissGpuError(Exception):
    """There is a card, and faiss cannot search on it."""


@functools.cache
def _probed() -> Any:
    faiss = import_faiss()
    rows = np.random.default_rng(0).standard_normal((512, 32)).astype(np.float32)
    expected = np.argsort(-(rows[:8] @ rows.T), axis=1, kind="stable")[:, :5]
    try:  # a wheel without GPU support or without kernels for the card raises here, or answers nonsense
        resources = faiss.StandardGpuResources()
        index = faiss.index_cpu_to_gpu(resources, 0, faiss.IndexFlatIP(32))
        index.add(rows)
        _, ids = index.search(rows[:8], 5)
    except Exception as error:  # faiss raises RuntimeError and others, as the wheel pleases
        raise FaissGpuError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not np.array_equal(ids, expected):
        raise FaissGpuError("a search with known answers gave others")
    return resources
