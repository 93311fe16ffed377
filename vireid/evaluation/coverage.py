"""Coverage of a protocol: the number of queries that can be scored, counted before any embedding exists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.labels import with_name
from vireid.core.types import EmbeddingTable, Trial

BLOCK = 1 << 21  # (query, gallery) pairs whose junk is computed at a time


@dataclass(frozen=True)
class TrialCoverage:
    """The queries of one trial and how many of them can be scored."""

    trial: str
    queries: int
    counted: int  # have a correct gallery image that is not ignored (junk)
    correct_pairs: int  # (query, gallery image) of one identity, ignored ones included
    own_camera_pairs: int  # those of them whose two images are of the same camera

    @property
    def skipped(self) -> int:
        return self.queries - self.counted


@dataclass(frozen=True)
class ProtocolCoverage:
    """The coverage of all trials of a protocol, and its settings that have no effect on the test images."""

    trials: Sequence[TrialCoverage]
    remarks: Sequence[str] = ()

    def lines(self) -> list[str]:
        """Return one line about skipped queries, if there are any, then the remarks."""
        skipped = [trial.skipped for trial in self.trials]
        return [*([skipped_text(skipped, [t.queries for t in self.trials])] if any(skipped) else []), *self.remarks]


def skipped_text(skipped: Sequence[int], queries: Sequence[int]) -> str:
    """Format the number of skipped queries; `queries` are evaluated and skipped ones together.

    >>> skipped_text([3], [20])
    'skipped queries: 3 of 20 (no correct gallery image counts for them; they are in no mean)'
    >>> skipped_text([3, 5], [20, 20]).split(" (")[0]
    'skipped queries: 3 to 5 of 20, depending on the trial'
    """
    trial = ", depending on the trial" if len(set(skipped)) > 1 else ""
    return (
        f"skipped queries: {_range(skipped)} of {_range(queries)}{trial} (no correct gallery image counts for them;"
        " they are in no mean)"
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def trial_coverage(trial: Trial, table: EmbeddingTable) -> TrialCoverage:
    """Count the queries of a trial that have a correct gallery image that is not ignored.

    Only pairs of neighboring identities are formed, `BLOCK` at a time: memory is bounded for any number of images.
    """
    query = trial.query[np.argsort(table.labels[trial.query], kind="stable")]
    gallery = trial.gallery[np.argsort(table.labels[trial.gallery], kind="stable")]
    query = query[np.isin(table.labels[query], table.labels[gallery])]
    gallery = gallery[np.isin(table.labels[gallery], table.labels[query])]
    counted = correct = own_camera = 0
    for rows, columns in _blocks(table.labels[query], table.labels[gallery]):
        left, right = query[rows], gallery[columns]
        same = table.labels[left][:, None] == table.labels[right][None]
        junk = trial.junk(left, right)
        if junk.shape != same.shape or junk.dtype != bool:
            raise UserError(f"junk of {trial.name} must be bool {same.shape}, got {junk.dtype} {junk.shape}")
        counted += int((same & ~junk).any(axis=1).sum())
        correct += int(same.sum())
        own_camera += int((same & (table.cameras[left][:, None] == table.cameras[right][None])).sum())
    return TrialCoverage(trial.name, len(trial.query), counted, correct, own_camera)


def _blocks(query: np.ndarray, gallery: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of queries and the gallery images of their identities; both sides are sorted by identity."""
    low, high = np.searchsorted(gallery, query, side="left"), np.searchsorted(gallery, query, side="right")
    start = 0
    while start < len(query):
        window = high[start : start + BLOCK]
        pairs = np.arange(1, len(window) + 1) * (window - low[start])  # ascending
        stop = start + max(1, int(np.searchsorted(pairs, BLOCK, side="right")))
        yield slice(start, stop), slice(int(low[start]), int(high[stop - 1]))
        start = stop


def require_counted(coverage: TrialCoverage, table: EmbeddingTable) -> None:
    """Raise DataError with the reason if no query of a trial has a correct gallery image that is not ignored."""
    if coverage.counted:
        return
    head = f"{coverage.trial}: none of the {coverage.queries} queries has a correct gallery image that counts"
    if not coverage.correct_pairs:
        raise DataError(
            f"{head}: no identity has both a query and a gallery image (check the identities of the test split)"
        )
    pairs = f"all {coverage.correct_pairs} pairs of a query and a correct gallery image are ignored (junk)"
    cameras = np.unique(table.cameras)
    if len(cameras) == 1:
        word = with_name(int(cameras[0]), table.camera_names)
        raise DataError(f"{head}: {pairs}, because every test image has camera {word} (check the cameras)")
    if coverage.own_camera_pairs == coverage.correct_pairs:
        raise DataError(f"{head}: {pairs}, and in each of them both images have the same camera (check the cameras)")
    raise DataError(f"{head}: {pairs}; check the cameras and what the protocol ignores")
