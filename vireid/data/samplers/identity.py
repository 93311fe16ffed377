"""Identity sampler that does not distinguish the modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from vireid.core.errors import DataError
from vireid.core.labels import int64_array
from vireid.core.registries import SAMPLERS
from vireid.core.text import counted
from vireid.core.types import Sample
from vireid.data.samplers.passes import PassSampler
from vireid.data.samplers.samplers import identities_of_rank, positions_by_label, require_positive


def released_identity_blocks(
    labels: np.ndarray, *, identities: int, per_identity: int, state: np.random.RandomState
) -> np.ndarray:
    """Draw one epoch of MCJA's "norm_triplet" sampler, with the same calls of the random generator.

    Identities are processed in the order of their first row. The rows of each are shuffled and cut into blocks of K;
    the rest is not used in this epoch. An identity with fewer than K rows is drawn with replacement. A batch is one
    block of each of P identities, drawn without replacement, as long as P identities have one. `state` advances.

    Shape:
        labels (N,) -> (batches, P * K) positions
    """
    blocks: dict[int, list[np.ndarray]] = {}
    for rows in sorted(positions_by_label(labels), key=lambda rows: rows[0]):
        rows = state.choice(rows, per_identity, replace=True) if len(rows) < per_identity else rows.copy()
        state.shuffle(rows)
        whole = len(rows) // per_identity * per_identity
        blocks[int(labels[rows[0]])] = list(rows[:whole].reshape(-1, per_identity))
    batches, left = [], list(blocks)
    while len(left) >= identities:
        chosen = state.choice(left, identities, replace=False).tolist()
        batches.append(np.concatenate([blocks[label].pop(0) for label in chosen]))
        left = [label for label in left if blocks[label]]
    return np.array(batches, dtype=np.int64).reshape(-1, identities * per_identity)


@SAMPLERS.register
class IdentitySampler(PassSampler):
    """P identities and K images of each, of any modality: P K rows in a batch.

    An epoch is a pass over blocks of K images of one identity (`released_identity_blocks`). Its number of batches
    depends on the random numbers and varies a little; `len()` is that of the current epoch. An identity may be in a
    batch in one modality only. Visible rows come first, but nothing may depend on the order. With several processes,
    each has a part of the identities of the same global batch.

    Args:
        samples: Training images.
        identities: P, over all processes.
        per_identity: K.
        seed: Random seed.
        rank: Number of this process.
        world: Number of processes.
        steps: Batches in an epoch, from as many passes as needed; None: one pass.

    Raises:
        DataError: For an empty training set, fewer than P identities, or P not divisible by the processes.

    Source:
        Liang et al., "Bridging the Gap: Multi-level Cross-modality Joint Alignment for Visible-infrared Person
        Re-identification" (MCJA), TCSVT 2024, released code ("norm_triplet", also in MPANet's).

    Departs:
        The generator is seeded from (seed, epoch) at each epoch, so that an epoch does not depend on the ones before
        it.
    """

    example: ClassVar[dict] = {"identities": 2, "per_identity": 4}

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        identities: int,
        per_identity: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        steps: int | None = None,
    ) -> None:
        require_positive(identities=identities, per_identity=per_identity, world=world)
        if steps is not None:
            require_positive(steps=steps)
        super().__init__(seed=seed, steps=steps)
        self.identities, self.per_identity = identities, per_identity
        self.share = identities_of_rank(identities, rank, world)
        self.labels = int64_array((sample.identity for sample in samples), "identity")
        self.modality = np.fromiter((sample.modality for sample in samples), np.int64, len(samples))
        if not len(samples):
            raise DataError("the training set has no image")
        known = len(np.unique(self.labels))
        if known < identities:
            raise DataError(
                f"SAMPLER.IDENTITIES = {identities}, but the training set has only"
                f" {counted(known, 'identity', 'identities')}; set it to {known} or less"
            )

    def _local(self, batches: np.ndarray) -> np.ndarray:
        drawn = batches.reshape(-1, self.identities, self.per_identity)
        local = drawn[:, self.share].reshape(len(drawn), -1)
        visible_first = self.modality[local].argsort(axis=1, kind="stable")
        return np.take_along_axis(local, visible_first, axis=1)

    def _one_pass(self, state: np.random.RandomState) -> np.ndarray:
        return released_identity_blocks(
            self.labels, identities=self.identities, per_identity=self.per_identity, state=state
        )
