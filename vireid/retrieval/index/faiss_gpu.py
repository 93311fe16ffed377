"""Self-test of faiss on the GPU: run a search with a known result instead of comparing version numbers."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import torch

from vireid.core.errors import UserError

log = logging.getLogger(__name__)


def import_faiss() -> Any:
    """Import faiss; UserError with the package to install if it is missing."""
    try:
        import faiss
    except ImportError as missing:
        raise UserError(
            "this index needs the package faiss: pip install faiss-cpu, or use TorchExact, which needs none"
        ) from missing
    return faiss


def gpu_resources() -> Any | None:
    """Return the faiss resources of the first GPU; None without a GPU.

    Raises:
        FaissGpuError: If there is a GPU, but faiss does not work on it.
    """
    return _probed() if torch.cuda.is_available() else None


class FaissGpuError(Exception):
    """There is a GPU, but faiss cannot search on it."""


@functools.cache
def _probed() -> Any:
    faiss = import_faiss()
    rows = np.random.default_rng(0).standard_normal((512, 32)).astype(np.float32)
    expected = np.argsort(-(rows[:8] @ rows.T), axis=1, kind="stable")[:, :5]
    try:  # a wheel without GPU support or without kernels for this GPU raises here or returns wrong ids
        resources = faiss.StandardGpuResources()
        index = faiss.index_cpu_to_gpu(resources, 0, faiss.IndexFlatIP(32))
        index.add(rows)
        _, ids = index.search(rows[:8], 5)
    except Exception as error:  # RuntimeError and others, depending on the wheel
        raise FaissGpuError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not np.array_equal(ids, expected):
        raise FaissGpuError("a search with a known result returned another one")
    return resources
