"""MPANet's batches: every infrared image at most once in an epoch, in blocks of one identity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from vireid.core.errors import DataError
from vireid.core.registries import SAMPLERS
from vireid.core.rng import numpy_generator
from vireid.core.types import Modality, Sample
from vireid.data.samplers.samplers import CrossModalityIndex, own_share, positive


def blocks_of(infrared: int, visible: int, rows: int) -> int:
    """Blocks of `rows` rows, half of each modality, that an identity with so many images gives in an epoch.

    >>> blocks_of(10, 9, 8), blocks_of(3, 2, 8), blocks_of(3, 20, 8)
    (2, 1, 0)
    """
    if max(infrared, visible) < rows // 2:
        return 1  # drawn with replacement
    return min(infrared, visible) // (rows // 2)


def released_blocks(
    labels: np.ndarray, infrared: np.ndarray, *, identities: int, rows: int, state: np.random.RandomState
) -> np.ndarray:
    """One epoch of MPANet's "identity_random" sampler, draw by draw.

    (N,) labels, (N,) bool -> (batches, P `rows`) positions: P blocks of `rows` positions of one identity, infrared and
    visible in turn. Identities come in the order of their first infrared row. Of each, the modality with more images is
    thinned out to as many as the other has; both are shuffled, paired and cut into blocks; what is left over is not
    used in this epoch. An identity with less than half a block in both modalities is drawn with replacement instead.
    Batches take one block of each of P identities, drawn without replacement, as long as P have one. `state` moves on.
    Departs from the release: an identity with less than half a block in one modality alone has no block; there it ends
    the program (an empty list of blocks is indexed).
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
class IdentityBlockSampler:
    """P identities, K visible and K infrared images of each; no image twice in an epoch.

    An epoch is a pass over blocks of K images of each modality of one identity (`released_blocks`); its number of
    batches depends on the draws, a little from epoch to epoch, and `len()` is that of the current one. `steps` takes
    that many batches instead, from as many passes as it needs. Rows come visible first, but nothing may depend on it.
    With several processes each takes its share of the identities of the same global batch.
    Errors: DataError for fewer than P identities with a block, an identity of one modality, P not divisible by the
    processes.
    Source: MPANet (CVPR 2021), "identity_random", where K counts both modalities. Departs: the generator is seeded from
    (seed, epoch) at each epoch, so that an epoch does not depend on the ones before it.
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
        self.identities, self.per_modality, self.steps = identities, per_modality, steps
        self.seed, self.epoch = seed, 0
        self.share = own_share(identities, rank, world)
        index = CrossModalityIndex(samples, identities=identities)
        _check_blocks(index, identities, per_modality)
        self.labels = np.fromiter((sample.identity for sample in samples), np.int64, len(samples))
        self.infrared = np.fromiter((sample.modality == Modality.INFRARED for sample in samples), bool, len(samples))
        self._drawn: tuple[int, np.ndarray] | None = None  # of the epoch that was asked for last

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rows().tolist())

    def rows(self) -> np.ndarray:
        """All batches of the epoch: (steps, 2 P K / world) row numbers."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            self._drawn = self.epoch, self._draw()
        return self._drawn[1]

    def _draw(self) -> np.ndarray:
        state = np.random.RandomState(numpy_generator(self.seed, self.epoch).integers(0, 2**32, 4, dtype=np.uint32))
        passes = [self._one_pass(state)]
        while self.steps is not None and sum(map(len, passes)) < self.steps:
            passes.append(self._one_pass(state))
        drawn = np.concatenate(passes)[: self.steps].reshape(-1, self.identities, self.per_modality, 2)
        own = drawn[:, self.share]
        # (batch, identity, image, modality), infrared first, to visible rows then infrared ones
        return own[..., ::-1].transpose(0, 3, 1, 2).reshape(len(own), -1)

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
