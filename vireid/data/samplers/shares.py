"""Identity sampler of joined datasets: a batch has identities of each dataset by share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vireid.core.errors import ArgumentError, DataError, nearest
from vireid.core.registries import SAMPLERS
from vireid.core.text import counted
from vireid.core.types import Sample
from vireid.data.proportions import proportional_counts
from vireid.data.samplers.samplers import IdentityModalitySampler


@SAMPLERS.register
class DatasetShareSampler(IdentityModalitySampler):
    """P identities of joined datasets by share, K visible and K infrared images of each.

    The number of identities of each dataset is the same in every batch: P times its share, rounded by the largest
    remainder. Otherwise the sampler is `IdentityModalitySampler`, which draws identities of all datasets alike, so that
    a dataset of many identities dominates.

    Args:
        samples: Training images; `Sample.dataset` is the name of the dataset.
        identities: P, over all datasets and processes.
        per_modality: K.
        shares: Name of a dataset -> its share of the identities, relative to the others; None: equal shares.
        seed: Random seed.
        rank: Number of this process.
        world: Number of processes.
        steps: Batches in an epoch; None: floor(max(#visible, #infrared) / (P K)) + 1.

    Raises:
        ArgumentError: For shares that are not positive, unknown or missing names, and shares too small for P.
        DataError: For a dataset with fewer identities than its share of a batch; otherwise as the base class.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        identities: int,
        per_modality: int,
        shares: Mapping[str, float] | None = None,
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
        dataset_of = {sample.identity: sample.dataset for sample in samples}
        datasets = np.array([dataset_of[label] for label in self.index.identities.tolist()])
        names = list(dict.fromkeys(sample.dataset for sample in samples))
        self.counts = _counts(names, identities, shares)
        self._positions = {name: np.flatnonzero(datasets == name) for name in names}
        for name, count in self.counts.items():
            if count > (known := len(self._positions[name])):
                raise DataError(
                    f"a batch needs {counted(count, 'identity', 'identities')} of the dataset {name}, which has only"
                    f" {known} in training; lower SAMPLER.IDENTITIES or its share in SAMPLER.SHARES"
                )

    def _chosen(self, generator: np.random.Generator) -> np.ndarray:
        parts = []
        for name, count in self.counts.items():
            positions = self._positions[name]
            parts.append(positions[generator.random((self.steps, len(positions))).argsort(axis=1)[:, :count]])
        # Shuffled, so that each process of a group gets identities of every dataset.
        return generator.permuted(np.concatenate(parts, axis=1), axis=1)


def _counts(names: Sequence[str], identities: int, shares: Mapping[str, float] | None) -> dict[str, int]:
    """The number of identities of each dataset in a batch."""
    given = {str(name).lower(): share for name, share in (shares or {}).items()}
    if shares is not None:
        for name, share in given.items():
            if name not in names:
                known = ", ".join(name or "(a single dataset)" for name in names)
                raise ArgumentError(
                    "shares", f"has no dataset named {name!r}{nearest(name, names)} (datasets: {known})"
                )
            if not share > 0:
                raise ArgumentError("shares", f"of {name} must be positive, got {share}")
        if missing := [name for name in names if name not in given]:
            raise ArgumentError("shares", f"has no share for {', '.join(missing)}; name every dataset, or none")
    counts = proportional_counts(identities, [given.get(name, 1.0) for name in names])
    if empty := [name for name, count in zip(names, counts) if not count]:
        raise ArgumentError(
            "identities", f"= {identities} leaves no identity of {', '.join(empty)} in a batch; raise it, or the share"
        )
    return dict(zip(names, counts))
