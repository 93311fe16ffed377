from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.samplers.samplers import (
    IdentityModalitySampler,
    ReleasedSampler,
    positions_by_label,
    released_epoch,
    steps_per_epoch,
)


def make_samples(visible: list[int], infrared: list[int]) -> list[Sample]:
    """One sample for each label, shuffled, so that nothing can depend on the order of the list."""
    samples = [Sample(Path("x"), label, Modality.VISIBLE, 1) for label in visible]
    samples += [Sample(Path("x"), label, Modality.INFRARED, 3) for label in infrared]
    order = np.random.default_rng(0).permutation(len(samples))
    return [samples[row] for row in order]


VISIBLE, INFRARED = [0, 1, 2, 3, 4, 5] * 9, [0, 1, 2, 3, 4, 5] * 2 + [3]
SAMPLERS = [IdentityModalitySampler, ReleasedSampler]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_each_batch_has_p_identities_and_k_images_of_each_modality(kind: type[IdentityModalitySampler]) -> None:
    samples = make_samples(VISIBLE, INFRARED)
    sampler = kind(samples, identities=4, per_modality=3, seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 54 // 12 + 1
    for rows in batches:
        assert len(rows) == 24
        chosen = [samples[row] for row in rows]
        assert [s.modality for s in chosen] == [Modality.VISIBLE] * 12 + [Modality.INFRARED] * 12
        labels = [s.identity for s in chosen]
        assert labels[:12] == labels[12:]
        assert sorted(np.unique(labels, return_counts=True)[1]) == [6] * 4


@pytest.mark.parametrize("kind", SAMPLERS)
def test_epochs_differ_and_repeat(kind: type[IdentityModalitySampler]) -> None:
    sampler = kind(make_samples(VISIBLE, INFRARED), identities=4, per_modality=3, seed=1)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(kind(make_samples(VISIBLE, INFRARED), identities=4, per_modality=3, seed=2)) != first


def test_every_identity_and_image_is_drawn_about_equally_often() -> None:
    samples = make_samples(VISIBLE, INFRARED)
    sampler = IdentityModalitySampler(samples, identities=3, per_modality=2, steps=4000)
    rows = sampler.rows()
    labels = np.array([s.identity for s in samples])[rows]
    counts = np.bincount(labels.ravel()) / labels.size
    np.testing.assert_allclose(counts, 1 / 6, atol=0.006)
    of_identity = rows[(labels == 3) & (np.array([s.modality for s in samples])[rows] == Modality.INFRARED)]
    share = np.unique(of_identity, return_counts=True)[1] / len(of_identity)
    np.testing.assert_allclose(share, [1 / 3] * 3, atol=0.03)


def test_images_are_drawn_with_replacement() -> None:
    sampler = IdentityModalitySampler(make_samples([0, 1], [0, 1]), identities=2, per_modality=4)
    assert all(len(set(batch)) == 4 for batch in sampler)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_ranks_share_the_identities_of_one_batch(kind: type[IdentityModalitySampler]) -> None:
    samples = make_samples(VISIBLE, INFRARED)
    whole = kind(samples, identities=4, per_modality=2, seed=5).rows()
    parts = [kind(samples, identities=4, per_modality=2, seed=5, rank=r, world=2).rows() for r in range(2)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts, axis=1)), np.sort(whole))
    labels = np.array([s.identity for s in samples])
    for left, right in zip(*parts, strict=True):
        assert not set(labels[left]) & set(labels[right])
        assert len(set(labels[left])) == 2


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 13])
def test_steps_can_be_given(kind: type[IdentityModalitySampler], steps: int) -> None:
    sampler = kind(make_samples(VISIBLE, INFRARED), identities=4, per_modality=3, steps=steps)
    assert len(sampler) == len(list(sampler)) == steps


def test_labels_need_not_be_contiguous() -> None:
    samples = make_samples([7, 30, 7, 500], [30, 500, 7])
    for rows in IdentityModalitySampler(samples, identities=3, per_modality=2):
        assert {samples[row].identity for row in rows} == {7, 30, 500}


@pytest.mark.parametrize(
    ("visible", "infrared", "settings", "text"),
    [
        (
            [0, 1, 2],
            [0, 1, 2],
            {"identities": 4, "per_modality": 2},
            "SAMPLER.IDENTITIES = 4, but the training set has only 3 identities; set it to 3 or less",
        ),
        (
            [0, 1, 2, 3],
            [0, 2, 5],
            {"identities": 2, "per_modality": 2},
            "2 training identities have no infrared image (labels 1, 3);"
            " 1 training identities have no visible image (labels 5);"
            " a cross-modality batch needs both, remove them from the training list",
        ),
        (
            list(range(12)),
            [0],
            {"identities": 2, "per_modality": 2},
            "11 training identities have no infrared image (labels 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...);"
            " a cross-modality batch needs both, remove them from the training list",
        ),
        (
            [0, 1, 2],
            [0, 1, 2],
            {"identities": 3, "per_modality": 2, "world": 2},
            "SAMPLER.IDENTITIES = 3 cannot be shared equally by 2 processes; set it to a multiple of 2",
        ),
    ],
)
def test_mistakes_of_users(visible: list[int], infrared: list[int], settings: dict, text: str) -> None:
    with pytest.raises(DataError) as caught:
        IdentityModalitySampler(make_samples(visible, infrared), **settings)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"identities": 0, "per_modality": 2}, "identities must be at least 1, got 0"),
        ({"identities": 2, "per_modality": 0}, "per_modality must be at least 1, got 0"),
        ({"identities": 2, "per_modality": 2, "steps": 0}, "steps must be at least 1, got 0"),
        ({"identities": 2, "per_modality": 2, "rank": 2, "world": 2}, r"rank must be in 0 .. 1, got 2"),
    ],
)
def test_values_out_of_range(settings: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        IdentityModalitySampler(make_samples([0, 1], [0, 1]), **settings)


def test_positions_by_label() -> None:
    positions = positions_by_label(np.array([5, 0, 5, 2, 0]))
    assert [each.tolist() for each in positions] == [[1, 4], [3], [0, 2]]


def test_released_epoch_is_the_released_loop() -> None:
    visible, infrared = np.array([0, 1, 2, 2, 1, 0, 0, 1]), np.array([2, 1, 0, 0, 1])
    state = np.random.RandomState(3)
    expected: tuple[list[int], list[int]] = ([], [])
    for _ in range(8 // 4 + 1):
        for label in state.choice(np.unique(visible), 2, replace=False):
            expected[0].extend(state.choice(np.flatnonzero(visible == label), 2))
            expected[1].extend(state.choice(np.flatnonzero(infrared == label), 2))
    drawn = released_epoch(visible, infrared, identities=2, per_modality=2, state=np.random.RandomState(3))
    assert drawn[0].tolist() == expected[0]
    assert drawn[1].tolist() == expected[1]


def test_steps_of_the_published_data_sets() -> None:
    assert [steps_per_epoch(*sizes, 32) for sizes in ((22258, 11909), (2060, 2060), (16946, 13975))] == [696, 65, 530]
