"""Identity samplers: batches as functions of (seed, epoch, rank), so that a resumed run repeats the first one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.core.labels import int64_array
from vireid.core.registries import SAMPLERS
from vireid.core.rng import numpy_generator
from vireid.core.text import counted
from vireid.core.types import Modality, Sample


class CrossModalityIndex:
    """Row numbers of a training set, grouped by modality and identity.

    `rows[m]` has the row numbers of modality m, sorted by identity; those of `identities[i]` are
    `rows[m][starts[m][i] : starts[m][i] + counts[m][i]]`.

    Args:
        samples: Training images.
        identities: Identities of a batch.

    Raises:
        DataError: For an identity in one modality only, which no batch could contain, and for too few identities.
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
    texts = []
    for present, other, word in ((visible, infrared, "infrared"), (infrared, visible, "visible")):
        missing = np.setdiff1d(present, other)
        if len(missing):
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            texts.append(f"{len(missing)} training identities have no {word} image (labels {shown})")
    if texts:
        raise DataError("; ".join(texts) + "; a cross-modality batch needs both, remove them from the training list")


def require_positive(**values: int) -> None:
    """Raise ArgumentError for the first of the named values that is below 1."""
    for name, value in values.items():
        if value < 1:
            raise ArgumentError(name, f"must be at least 1, got {value}")


def identities_of_rank(identities: int, rank: int, world: int) -> slice:
    """Return the part of the P identities of a batch that belongs to one rank."""
    if not 0 <= rank < world:
        raise ArgumentError("rank", f"must be in 0 .. {world - 1}, got {rank}")
    if identities % world:
        raise DataError(
            f"SAMPLER.IDENTITIES = {identities} cannot be shared equally by {world} processes;"
            f" set it to a multiple of {world}"
        )
    each = identities // world
    return slice(rank * each, (rank + 1) * each)


def steps_per_epoch(visible: int, infrared: int, pairs: int) -> int:
    """Batches in an epoch: floor(max(#visible, #infrared) / (P K)) + 1, also if nothing is left over for the last one.

    >>> steps_per_epoch(22258, 11909, 8 * 4), steps_per_epoch(64, 64, 32)
    (696, 3)
    """
    return max(visible, infrared) // pairs + 1


@SAMPLERS.register
class IdentityModalitySampler:
    """P identities, K visible and K infrared images of each: 2 P K rows in a batch.

    Identities of a batch are drawn without replacement, the images of an identity with replacement. The batches of an
    epoch are a function of (seed, epoch). With several processes, each has a part of the identities of the same global
    batch, so that the union over ranks is the batch of a single process. Visible rows come first, but nothing may
    depend on the order.

    Args:
        samples: Training images.
        identities: P, over all processes.
        per_modality: K.
        seed: Random seed.
        rank: Number of this process.
        world: Number of processes.
        steps: Batches in an epoch; None: floor(max(#visible, #infrared) / (P K)) + 1.

    Raises:
        DataError: For fewer than P identities, an identity in one modality only, or P not divisible by the processes.

    Source:
        Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook" (AGW), TPAMI 2021,
        IdentitySampler; the same in most later releases.

    Departs:
        Random numbers come from (seed, epoch) and not from NumPy's global generator; `ReleasedSampler` has the released
        ones. `len()` is the number of batches of an iteration.
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
        require_positive(identities=identities, per_modality=per_modality, world=world)
        if steps is not None:
            require_positive(steps=steps)
        self.identities, self.per_modality = identities, per_modality
        self.seed, self.epoch = seed, 0
        self.share = identities_of_rank(identities, rank, world)
        self.index = CrossModalityIndex(samples, identities=identities)
        self.steps = steps or steps_per_epoch(*self.index.sizes, identities * per_modality)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rows().tolist())

    def rows(self) -> np.ndarray:
        """Return all batches of the epoch: (steps, 2 P K / world) row numbers."""
        generator = numpy_generator(self.seed, self.epoch)
        chosen = self._chosen(generator)
        parts = []
        for rows, starts, counts in zip(self.index.rows, self.index.starts, self.index.counts, strict=True):
            offset = self._images(generator, counts[chosen])
            drawn = rows[starts[chosen][:, :, None] + offset]
            parts.append(drawn[:, self.share].reshape(self.steps, -1))
        return np.concatenate(parts, axis=1)

    def _chosen(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the identities of all batches without replacement: (steps, P) positions in `index.identities`."""
        known = len(self.index.identities)
        # The first P of a random order of all identities = P draws without replacement.
        return generator.random((self.steps, known)).argsort(axis=1)[:, : self.identities]

    def _images(self, generator: np.random.Generator, counts: np.ndarray) -> np.ndarray:
        """Draw K images of each chosen identity with replacement: (steps, P) numbers of images -> (steps, P, K)."""
        return generator.integers(0, counts[:, :, None], size=(*counts.shape, self.per_modality))


def positions_by_label(labels: np.ndarray) -> list[np.ndarray]:
    """Return the positions of each distinct label, by ascending label."""
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
    distinct: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one epoch of the released IdentitySampler, with the same calls of the random generator.

    Each batch draws P identities without replacement, then for each identity K visible and K infrared positions, with
    replacement unless `distinct`. Position n of both results is of the same identity. `state` advances: call again for
    the next epoch.

    Shape:
        visible_labels (V,), infrared_labels (N,), contiguous from 0 -> positions among the visible and among the
        infrared images, (steps * P * K,) each

    Source:
        AGW (IdentitySampler), the same in CAJ, DDAG, DEEN, HCT, MMD-ReID, MCLNet, MCE. `distinct`: PMT.
    """
    visible, infrared = positions_by_label(visible_labels), positions_by_label(infrared_labels)
    names = np.unique(visible_labels)
    pairs = []
    for _ in range(steps_per_epoch(len(visible_labels), len(infrared_labels), identities * per_modality)):
        for label in state.choice(names, identities, replace=False):
            pairs.append(
                [state.choice(group[label], per_modality, replace=not distinct) for group in (visible, infrared)]
            )
    index = np.array(pairs)
    return index[:, 0].reshape(-1), index[:, 1].reshape(-1)


@SAMPLERS.register
class ReleasedSampler(IdentityModalitySampler):
    """Identity sampler with the random numbers of the released code, from NumPy's legacy generator; slow, for parity.

    The arguments are those of `IdentityModalitySampler`.

    Departs:
        The generator is seeded from (seed, epoch) at each epoch, so that an epoch does not depend on the ones before
        it. For the released stream call `released_epoch` with one RandomState.
    """

    def rows(self) -> np.ndarray:
        """Return all batches of the epoch: (steps, 2 P K / world) row numbers."""
        state = np.random.RandomState(numpy_generator(self.seed, self.epoch).integers(0, 2**32, 4, dtype=np.uint32))
        index, parts = self.index, []
        labels = [np.repeat(np.arange(len(index.identities)), counts) for counts in index.counts]
        size = (-1, self.identities, self.per_modality)
        drawn = released_epoch(*labels, identities=self.identities, per_modality=self.per_modality, state=state)
        for rows, positions in zip(index.rows, drawn, strict=True):
            parts.append(rows[positions].reshape(size)[:, self.share])
        epoch = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
        return epoch[np.arange(self.steps) % len(epoch)]
