"""The sampler is balanced, a function of (seed, epoch, rank), and shares one batch among ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.core.types import Modality, Sample
from vireid.data.samplers.samplers import IdentityModalitySampler


@st.composite
def training_sets(draw: st.DrawFn) -> list[Sample]:
    """Any number of identities with any numbers of images, at least one of each modality, in any order."""
    labels = draw(st.lists(st.integers(0, 600), min_size=4, max_size=9, unique=True))
    samples = []
    for label in labels:
        for modality in Modality:
            samples += [Sample(Path("x"), label, modality, 1)] * draw(st.integers(1, 5))
    return draw(st.permutations(samples))


@st.composite
def settings_of(draw: st.DrawFn) -> dict[str, int]:
    return {
        "identities": draw(st.sampled_from([2, 4])),
        "per_modality": draw(st.integers(1, 5)),
        "seed": draw(st.integers(0, 2**32)),
    }


@given(training_sets(), settings_of(), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_balanced(samples: list[Sample], chosen: dict[str, int], epoch: int) -> None:
    sampler = IdentityModalitySampler(samples, **chosen)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    sizes = [sum(s.modality == m for s in samples) for m in Modality]
    assert len(batches) == max(sizes) // (chosen["identities"] * chosen["per_modality"]) + 1
    for rows in batches:
        drawn = [(samples[row].identity, samples[row].modality) for row in rows]
        groups = {group: drawn.count(group) for group in drawn}
        assert len({identity for identity, _ in groups}) == chosen["identities"]
        assert len(groups) == 2 * chosen["identities"]
        assert set(groups.values()) == {chosen["per_modality"]}


@given(training_sets(), settings_of(), st.lists(st.integers(0, 500), max_size=3), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_a_function_of_seed_and_epoch(
    samples: list[Sample], chosen: dict[str, int], history: list[int], epoch: int
) -> None:
    used, fresh = (IdentityModalitySampler(samples, **chosen) for _ in range(2))
    for past in history:
        used.set_epoch(past)
        list(used)
    used.set_epoch(epoch)
    np.random.random(3)  # noqa: NPY002  the global generator is somebody else's
    fresh.set_epoch(epoch)
    assert list(used) == list(fresh)


@given(training_sets(), settings_of(), st.integers(0, 500), st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_the_ranks_together_are_one_rank(samples: list[Sample], chosen: dict[str, int], epoch: int, world: int) -> None:
    def rows(rank: int, world: int) -> np.ndarray:
        sampler = IdentityModalitySampler(samples, rank=rank, world=world, **chosen)
        sampler.set_epoch(epoch)
        return np.array(list(sampler))

    together = np.concatenate([rows(rank, world) for rank in range(world)], axis=1)
    np.testing.assert_array_equal(np.sort(together), np.sort(rows(0, 1)))
    labels = np.array([sample.identity for sample in samples])
    for part in (rows(rank, world) for rank in range(world)):
        assert all(len(np.unique(batch)) == chosen["identities"] // world for batch in labels[part])
