"""Which images form a batch: functions of (seed, epoch, rank), so that a resumed run repeats the uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from vireid.core.errors import DataError
from vireid.core.labels import int64_array
from vireid.core.registries import SAMPLERS
from vireid.core.rng import numpy_generator
from vireid.core.text import counted
from vireid.core.types import Modality, Sample


class CrossModalityIndex:
    """Row numbers of a training set grouped by identity and modality.

    `rows[m]` holds the row numbers of modality m, identity after identity in the order of `identities`; those of
    identity i are `rows[m][starts[m][i] : starts[m][i] + counts[m][i]]`. Only identities seen in both modalities count;
    one that is seen in a single modality is a DataError, because no batch could ever hold it.
    """

    def __init__(self, samples: Sequence[Sample], *, identities: int) -> None:
        if not len(samples):
            raise DataError("the training set has no image")
        labels = int64_array((sample.identity for sample in samples), "identity")
        modality = np.fromiter((sample.modality for sample in samples), np.int64, len(samples))
        visible, infrared = modality == Modality.VISIBLE, modality == Modality.INFRARED
        self.sizes = int(visible.sum()), int(infrared.sum())
        _check_both(np.unique(labels[visible]), np.unique(labels[infrared]))
        self.identities = np.unique(labels)
        if len(self.identities) < identities:
            raise DataError(
                f"SAMPLER.IDENTITIES = {identities}, but the training set has only"
                f" {counted(len(self.identities), 'identity', 'identities')};"
                f" set it to {len(self.identities)} or less"
            )
        self.rows, self.starts, self.counts = [], [], []
        for mask in (visible, infrared):
            rows = np.flatnonzero(mask)
            rows = rows[np.argsort(labels[rows], kind="stable")]
            starts = np.searchsorted(labels[rows], self.identities)
            self.rows.append(rows)
            self.starts.append(starts)
            self.counts.append(np.diff(np.append(starts, len(rows))))


def _check_both(visible: np.ndarray, infrared: np.ndarray) -> None:
    problems = []
    for present, missing, word in ((visible, infrared, "infrared"), (infrared, visible, "visible")):
        alone = np.setdiff1d(present, missing)
        if len(alone):
            shown = ", ".join(map(str, alone[:10])) + (", ..." if len(alone) > 10 else "")
            problems.append(f"{len(alone)} training identities have no {word} image (labels {shown})")
    if problems:
        raise DataError("; ".join(problems) + "; a cross-modality batch needs both, remove them from the training list")


def positive(**values: int) -> None:
    """ValueError for the first of the named values that is below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def own_share(identities: int, rank: int, world: int) -> slice:
    """Which of the P identities of a batch belong to one rank."""
    if not 0 <= rank < world:
        raise ValueError(f"rank must be in 0 .. {world - 1}, got {rank}")
    if identities % world:
        raise DataError(
            f"SAMPLER.IDENTITIES = {identities} cannot be shared equally by {world} processes;"
            f" set it to a multiple of {world}"
        )
    each = identities // world
    return slice(rank * each, (rank + 1) * each)


def steps_per_epoch(visible: int, infrared: int, pairs: int) -> int:
    """Batches in an epoch: floor(max(#visible, #infrared) / (P K)) + 1, the extra one even where nothing is left over.

    >>> steps_per_epoch(22258, 11909, 8 * 4), steps_per_epoch(64, 64, 32)
    (696, 3)
    """
    return max(visible, infrared) // pairs + 1


@SAMPLERS.register
class IdentityModalitySampler:
    """P identities, K visible and K infrared images of each: 2 P K rows a batch.

    Identities of a batch are drawn without replacement, the images of one with replacement, as released (AGW's
    IdentitySampler and its descendants). The batches of an epoch are a function of (seed, epoch); with several
    processes each takes its share of the identities of the same global batch, so that the union over ranks is the batch
    that one process would see. Rows come visible first, but nothing may depend on it.

    `steps` is floor(max(#visible, #infrared) / (P K)) + 1 unless given.
    Errors: DataError for fewer identities than P, an identity of one modality, P not divisible by the processes.
    Departs from the released code: draws come from (seed, epoch) and not from NumPy's global generator; the released
    draws are in `ReleasedSampler`. `len()` is the number of batches that iteration yields.
    """

    example: ClassVar[dict] = {"identities": 2, "per_modality": 2}

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        identities: int,
        per_modality: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        steps: int | None = None,
    ) -> None:
        positive(identities=identities, per_modality=per_modality, world=world)
        if steps is not None:
            positive(steps=steps)
        self.identities, self.per_modality = identities, per_modality
        self.seed, self.epoch = seed, 0
        self.share = own_share(identities, rank, world)
        self.index = CrossModalityIndex(samples, identities=identities)
        self.steps = steps or steps_per_epoch(*self.index.sizes, identities * per_modality)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rows().tolist())

    def rows(self) -> np.ndarray:
        """All batches of the epoch: (steps, 2 P K / world) row numbers."""
        generator = numpy_generator(self.seed, self.epoch)
        known = len(self.index.identities)
        # The first P of a random order of all identities = P draws without replacement.
        chosen = generator.random((self.steps, known)).argsort(axis=1)[:, : self.identities]
        parts = []
        for rows, starts, counts in zip(self.index.rows, self.index.starts, self.index.counts, strict=True):
            size = (*chosen.shape, self.per_modality)
            offset = generator.integers(0, counts[chosen][:, :, None], size=size)
            drawn = rows[starts[chosen][:, :, None] + offset]
            parts.append(drawn[:, self.share].reshape(self.steps, -1))
        return np.concatenate(parts, axis=1)


def positions_by_label(labels: np.ndarray) -> list[np.ndarray]:
    """Positions of each distinct label, labels ascending."""
    labels = np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def released_epoch(
    visible_labels: np.ndarray,
    infrared_labels: np.ndarray,
    *,
    identities: int,
    per_modality: int,
    state: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """One epoch of the released IdentitySampler, draw by draw.

    (V,), (N,) contiguous labels -> positions among the visible and among the infrared images, each (steps * P * K,);
    position n of both is the same identity. Each batch draws P identities without replacement, then for each identity
    K visible and K infrared positions with replacement. `state` moves on: call again for the next epoch.
    Source: AGW (IdentitySampler), the same in CAJ, DDAG, DEEN, HCT, MMD-ReID, MCLNet, MCE.
    """
    visible, infrared = positions_by_label(visible_labels), positions_by_label(infrared_labels)
    names = np.unique(visible_labels)
    pairs = []
    for _ in range(steps_per_epoch(len(visible_labels), len(infrared_labels), identities * per_modality)):
        for label in state.choice(names, identities, replace=False):
            pairs.append([state.choice(group[label], per_modality) for group in (visible, infrared)])
    index = np.array(pairs)
    return index[:, 0].reshape(-1), index[:, 1].reshape(-1)


@SAMPLERS.register
class ReleasedSampler(IdentityModalitySampler):
    """The same batches as the released code draws them, from NumPy's legacy generator; slow, kept for parity.

    Departs from the released code: the generator is seeded from (seed, epoch) at each epoch, so that an epoch does not
    depend on the ones before it. For the released stream call `released_epoch` with one RandomState.
    """

    def rows(self) -> np.ndarray:
        """All batches of the epoch: (steps, 2 P K / world) row numbers."""
        state = np.random.RandomState(numpy_generator(self.seed, self.epoch).integers(0, 2**32, 4, dtype=np.uint32))
        index, parts = self.index, []
        labels = [np.repeat(np.arange(len(index.identities)), counts) for counts in index.counts]
        size = (-1, self.identities, self.per_modality)
        drawn = released_epoch(*labels, identities=self.identities, per_modality=self.per_modality, state=state)
        for rows, positions in zip(index.rows, drawn, strict=True):
            parts.append(rows[positions].reshape(size)[:, self.share])
        epoch = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
        return epoch[np.arange(self.steps) % len(epoch)]
