"""Identity sampler that draws the images of an identity without replacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vireid.core.errors import DataError
from vireid.core.registries import SAMPLERS
from vireid.core.text import counted
from vireid.core.types import Sample
from vireid.data.samplers.samplers import IdentityModalitySampler


@SAMPLERS.register
class DistinctImageSampler(IdentityModalitySampler):
    """P identities, K distinct visible and K distinct infrared images of each.

    As `IdentityModalitySampler`, with the images of an identity drawn without replacement, so that a batch contains no
    image twice. The arguments are the same.

    Raises:
        DataError: As `IdentityModalitySampler`, and for identities with fewer than K images in a modality.

    Source:
        Lu et al., "Learning Progressive Modality-Shared Transformers for Effective Visible-Infrared Person
        Re-Identification" (PMT), AAAI 2023; released code, P 8 and K 4.

    Departs:
        The released code loses the first batch of each epoch and uses the second one twice. Random numbers come from
        (seed, epoch) and not from NumPy's global generator.
    """

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
        super().__init__(
            samples,
            identities=identities,
            per_modality=per_modality,
            seed=seed,
            rank=rank,
            world=world,
            steps=steps,
        )
        texts = []
        for counts, word in zip(self.index.counts, ("visible", "infrared"), strict=True):
            few = self.index.identities[counts < per_modality].tolist()
            if few:
                shown = ", ".join(map(str, few[:10])) + (", ..." if len(few) > 10 else "")
                number = counted(len(few), "training identity has", "training identities have")
                texts.append(f"{number} fewer than {per_modality} {word} images (labels {shown})")
        if texts:
            raise DataError(
                f"SAMPLER.PER_MODALITY = {per_modality}: {'; '.join(texts)}. DistinctImageSampler draws without"
                " replacement: set a smaller PER_MODALITY, or NAME: IdentityModalitySampler, which repeats images"
            )

    def _images(self, generator: np.random.Generator, counts: np.ndarray) -> np.ndarray:
        # The first K of a random order of all images = K draws without replacement. One batch at a time bounds memory.
        most = np.arange(int(counts.max()))
        drawn = []
        for of_batch in counts:
            keys = generator.random((len(of_batch), len(most)))
            keys[most >= of_batch[:, None]] = 2.0  # behind the images of the identity
            drawn.append(keys.argsort(axis=1)[:, : self.per_modality])
        return np.stack(drawn)
