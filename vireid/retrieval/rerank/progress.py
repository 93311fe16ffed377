"""Progress bar of a long re-ranking."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from vireid.core.progress import progress_bar

log = logging.getLogger(__name__)
LARGE = 6000  # images from which a progress bar is shown: fewer take seconds


def rerank_progress(
    label: str, queries: np.ndarray, gallery: np.ndarray, *, total: int, unit: str, memory: int
) -> AbstractContextManager[Callable[[int], object]]:
    """Show the progress of a re-ranking of many images, and log its size and memory.

    Args:
        label: Description of the re-ranking.
        queries: Embeddings (Q, D).
        gallery: Embeddings (G, D).
        total: Number of steps.
        unit: Name of one step.
        memory: Bytes that the re-ranking needs at most.
    """
    large = len(queries) + len(gallery) >= LARGE
    if large:
        log.info("%s: %d queries, %d gallery images, %.1f GB at most", label, len(queries), len(gallery), memory / 1e9)
    return progress_bar(total, label, unit=unit, show=large)
