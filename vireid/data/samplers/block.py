"""Identity sampler of MPANet: blocks of one identity, each image at most once in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from vireid.core.errors import DataError
from vireid.core.registries import SAMPLERS
from vireid.core.types import Modality, Sample
from vireid.data.samplers.passes import PassSampler
from vireid.data.samplers.samplers import CrossModalityIndex, identities_of_rank, require_positive


def blocks_of(infrared: int, visible: int, rows: int) -> int:
    """Return the number of blocks of `rows` rows, half of each modality, of an identity in an epoch.

    >>> blocks_of(10, 9, 8), blocks_of(3, 2, 8), blocks_of(3, 20, 8)
    (2, 1, 0)
    """
    if max(infrared, visible) < rows // 2:
        return 1  # drawn with replacement
    return min(infrared, visible) // (rows // 2)


def released_blocks(
    labels: np.ndarray, infrared: np.ndarray, *, identities: int, rows: int, state: np.random.RandomState
) -> np.ndarray:
    """Draw one epoch of MPANet's "identity_random" sampler, with the same calls of the random generator.

    Identities are processed in the order of their first infrared row. Of each, the modality with more images is
    subsampled to the size of the other; both are shuffled, paired and cut into blocks; the rest is not used in this
    epoch. An identity with less than half a block in both modalities is drawn with replacement instead. A batch is one
    block of each of P identities, drawn without replacement, as long as P identities have one. `state` advances.

    Shape:
        labels (N,), infrared (N,) bool -> (batches, P * rows) positions: P blocks of one identity each, infrared and
        visible rows alternating

    Departs:
        An identity with less than half a block in one modality alone has no block; the release ends with an error
        (an empty list of blocks is indexed).
    """
    half = rows // 2
    first = dict.fromkeys(labels[infrared].tolist())
    blocks: dict[int, list[np.ndarray]] = {}
    for label in first:
        of_label = labels == label
        dark, light = np.flatnonzero(of_label & infrared), np.flatnonzero(of_label & ~infrared)
        if max(len(dark), len(light)) < half:
            dark, light = (state.choice(each, half, replace=True) for each in (dark, light))
        elif len(dark) > len(light):
            dark = state.choice(dark, len(light), replace=False)
        elif len(light) > len(dark):
            light = state.choice(light, len(dark), replace=False)
        state.shuffle(dark)
        state.shuffle(light)
        whole = len(dark) // half * half
        pairs = np.stack([dark, light], axis=1)[:whole]
        if whole:
            blocks[label] = list(pairs.reshape(-1, rows))
    batches, left = [], list(blocks)
    while len(left) >= identities:
        chosen = state.choice(left, identities, replace=False).tolist()
        batches.append(np.concatenate([blocks[label].pop(0) for label in chosen]))
        left = [label for label in left if blocks[label]]
    return np.array(batches, dtype=np.int64).reshape(-1, identities * rows)


@SAMPLERS.register
class IdentityBlockSampler(PassSampler):
    """P identities, K visible and K infrared images of each; no image twice in an epoch.

    An epoch is a pass over blocks of K images of each modality of one identity (`released_blocks`). Its number of
    batches depends on the random numbers and varies a little; `len()` is that of the current epoch. Visible rows come
    first, but nothing may depend on the order. With several processes, each has a part of the identities of the same
    global batch.

    Args:
        samples: Training images.
        identities: P, over all processes.
        per_modality: K.
        seed: Random seed.
        rank: Number of this process.
        world: Number of processes.
        steps: Batches in an epoch, from as many passes as needed; None: one pass.

    Raises:
        DataError: For fewer than P identities with a block, an identity in one modality only, or P not divisible by the
            processes.

    Source:
        Wu et al., "Discover Cross-Modality Nuances for Visible-Infrared Person Re-Identification" (MPANet), CVPR 2021,
        "identity_random", where K counts both modalities.

    Departs:
        The generator is seeded from (seed, epoch) at each epoch, so that an epoch does not depend on the ones before
        it.
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
        super().__init__(seed=seed, steps=steps)
        self.identities, self.per_modality = identities, per_modality
        self.share = identities_of_rank(identities, rank, world)
        index = CrossModalityIndex(samples, identities=identities)
        _check_blocks(index, identities, per_modality)
        self.labels = np.fromiter((sample.identity for sample in samples), np.int64, len(samples))
        self.infrared = np.fromiter((sample.modality == Modality.INFRARED for sample in samples), bool, len(samples))

    def _local(self, batches: np.ndarray) -> np.ndarray:
        drawn = batches.reshape(-1, self.identities, self.per_modality, 2)
        local = drawn[:, self.share]
        # (batch, identity, image, modality), infrared first, to visible rows then infrared ones
        return local[..., ::-1].transpose(0, 3, 1, 2).reshape(len(local), -1)

    def _one_pass(self, state: np.random.RandomState) -> np.ndarray:
        return released_blocks(
            self.labels, self.infrared, identities=self.identities, rows=2 * self.per_modality, state=state
        )


def _check_blocks(index: CrossModalityIndex, identities: int, per_modality: int) -> None:
    counts = zip(*(counts.tolist() for counts in index.counts), strict=True)
    filled = sum(blocks_of(infrared, visible, 2 * per_modality) > 0 for visible, infrared in counts)
    if filled < identities:
        raise DataError(
            f"SAMPLER.PER_MODALITY = {per_modality}: only {filled} identities have so many images of each modality, "
            f"and a batch needs {identities} (SAMPLER.IDENTITIES); lower one of the two"
        )
