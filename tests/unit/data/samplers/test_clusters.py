"""Batches of clusters: composition, cameras, processes, epochs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.core.types import Modality, Sample
from vireid.data.samplers import ClusterSampler, clusters

SIZES = {0: (9, 12, 4, 1, 20, 8), 1: (6, 5, 30, 7)}  # images of the visible and of the infrared clusters
OUTLIERS = 7  # of each modality


def training_set(cameras: int = 3) -> tuple[list[Sample], np.ndarray]:
    """Shuffled images of both modalities with identity -1, and their labels as `PseudoLabels` numbers them."""
    rng = np.random.default_rng(0)
    columns, first = [], 0
    for modality, sizes in SIZES.items():
        labels = [first + number for number, size in enumerate(sizes) for _ in range(size)] + [-1] * OUTLIERS
        columns += [(label, modality, int(rng.integers(cameras)) + 3 * modality) for label in labels]
        first += len(sizes)
    rng.shuffle(columns)
    samples = [Sample(Path(f"{n}.png"), -1, Modality(kind), camera) for n, (_, kind, camera) in enumerate(columns)]
    return samples, np.array([label for label, _, _ in columns])


def sampler(*, cameras: int = 3, epoch: int = 0, **options) -> tuple[ClusterSampler, list[Sample], np.ndarray]:
    samples, labels = training_set(cameras)
    built = ClusterSampler(samples, **({"instances": 4, "visible": 8, "infrared": 16, "steps": 30} | options))
    built.set_labels(labels)
    built.set_epoch(epoch)
    return built, samples, labels


def test_a_batch_has_k_images_of_distinct_clusters_of_each_modality_and_no_outlier():
    built, samples, labels = sampler()
    batches = list(built)
    assert len(batches) == len(built) == 30
    for batch in batches:
        assert [samples[row].modality for row in batch] == [Modality.VISIBLE] * 8 + [Modality.INFRARED] * 16
        for start in range(0, 24, 4):
            assert len(set(labels[batch[start : start + 4]].tolist())) == 1
        counts = Counter(labels[batch].tolist())
        assert -1 not in counts
        assert sorted(counts.values()) == [4] * 6


def test_every_cluster_comes_once_before_one_comes_again():
    built, _, labels = sampler(visible=12)  # 3 of 6 clusters: two batches are a pass
    visible = labels[built.rows()[:, :12:4]].reshape(15, 6)
    np.testing.assert_array_equal(np.sort(visible, axis=1), np.tile(np.arange(6), (15, 1)))
    assert len({tuple(row) for row in visible.tolist()}) > 10  # in another order each time


def draws_of(label: int, *, cameras: int, instances: int = 4, steps: int = 300):
    """The groups of one cluster in many batches, the rows of the cluster and the cameras of all images."""
    built, samples, labels = sampler(cameras=cameras, instances=instances, visible=6 * instances, steps=steps)
    groups = [batch[start : start + instances] for batch in built for start in range(0, 6 * instances, instances)]
    of_label = [group for group in groups if labels[group[0]] == label]
    assert len(of_label) == steps
    return of_label, np.flatnonzero(labels == label), np.array([sample.camera for sample in samples])


def test_the_other_images_of_a_cluster_are_of_other_cameras():
    groups, rows, cameras = draws_of(4, cameras=3)
    several = 0
    for first, *others in groups:
        elsewhere = rows[cameras[rows] != cameras[first]]
        assert set(others) <= set(elsewhere.tolist())
        several += len(set(others)) == 3 and len(elsewhere) >= 4
    assert several == len(groups)  # distinct, because enough images are of other cameras


def test_with_one_camera_the_others_are_distinct_and_not_the_first():
    groups, rows, _ = draws_of(5, cameras=1)  # 8 images
    assert all(len(set(group)) == 4 for group in groups)
    counts = Counter(row for group in groups for row in group)
    expected = 4 * len(groups) / len(rows)
    assert set(counts) == set(rows.tolist())
    assert all(abs(count - expected) < 0.25 * expected for count in counts.values())


def test_a_small_cluster_is_drawn_with_replacement():
    groups, rows, _ = draws_of(2, cameras=1)  # 4 images: 3 others for 3 draws, fewer than K
    assert any(len(set(group)) < 4 for group in groups)
    assert all(first not in others for first, *others in groups)
    assert {row for group in groups for row in group} == set(rows.tolist())


def test_a_cluster_of_one_image_repeats_it():
    groups, rows, _ = draws_of(3, cameras=3)
    assert all(group == [rows[0]] * 4 for group in groups)


def test_blocks_of_clusters_change_only_the_random_numbers(monkeypatch):
    monkeypatch.setattr(clusters, "KEYS", 100)
    built, samples, labels = sampler()
    for batch in built:
        assert [samples[row].modality for row in batch] == [Modality.VISIBLE] * 8 + [Modality.INFRARED] * 16
        assert sorted(Counter(labels[batch].tolist()).values()) == [4] * 6


def test_batches_are_a_function_of_seed_epoch_and_labels():
    first = sampler(seed=3)[0].rows()
    np.testing.assert_array_equal(sampler(seed=3)[0].rows(), first)
    assert not np.array_equal(sampler(seed=4)[0].rows(), first)
    assert not np.array_equal(sampler(seed=3, epoch=1)[0].rows(), first)
    built, _, labels = sampler(seed=3)
    built.set_labels(np.where(labels == 0, -1, labels))
    other = built.rows()
    assert not (labels[other] == 0).any()
    built.set_labels(labels)
    np.testing.assert_array_equal(built.rows(), first)


def test_two_processes_share_the_clusters_of_a_batch():
    whole, _, labels = sampler(seed=2)
    parts = [sampler(seed=2, rank=rank, world=2)[0].rows() for rank in (0, 1)]
    assert [part.shape for part in parts] == [(30, 12), (30, 12)]
    np.testing.assert_array_equal(np.concatenate([parts[0][:, :4], parts[1][:, :4]], axis=1), whole.rows()[:, :8])
    np.testing.assert_array_equal(np.concatenate([parts[0][:, 4:], parts[1][:, 4:]], axis=1), whole.rows()[:, 8:])
    for one, other in zip(labels[parts[0]], labels[parts[1]]):
        assert not set(one.tolist()) & set(other.tolist())


def test_sizes_that_do_not_fit_are_reported():
    with pytest.raises(ArgumentError, match="visible = 10 must be a multiple of INSTANCES = 4"):
        sampler(visible=10)
    with pytest.raises(DataError, match=r"SAMPLER.VISIBLE = 8 are 2 clusters, which 3 processes cannot share equally"):
        sampler(world=3)
    with pytest.raises(DataError) as error:
        sampler(infrared=20)
    assert "SAMPLER.INFRARED = 20 needs 5 infrared clusters in a batch, but LABELS made 4 clusters" in str(error.value)
    assert "raise LABELS.EPS, lower LABELS.MIN_SAMPLES, or set SAMPLER.INFRARED to 16 or less" in str(error.value)
