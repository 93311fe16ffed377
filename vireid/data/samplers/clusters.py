"""Samplers of clusters, for training with pseudo labels."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch

from vireid.core.errors import ArgumentError, DataError
from vireid.core.registries import SAMPLERS
from vireid.core.rng import numpy_generator
from vireid.core.text import counted
from vireid.core.types import Modality, Sample
from vireid.data.samplers.samplers import identities_of_rank, require_positive

KEYS = 1 << 22  # random keys of images in memory at a time


class _Clusters:
    """Images of one modality, grouped by cluster.

    Args:
        rows: (M,) row numbers of its images.
        labels: (M,) their clusters; -1: outlier.
        cameras: (M,) their cameras.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, cameras: np.ndarray) -> None:
        kept = labels >= 0
        rows, labels, cameras = rows[kept], labels[kept], cameras[kept]
        order = np.argsort(labels, kind="stable")
        self.rows, self.cameras = rows[order], cameras[order]
        _, self.starts, self.counts = np.unique(labels[order], return_index=True, return_counts=True)

    def __len__(self) -> int:
        return len(self.counts)

    def order(self, steps: int, number: int, generator: np.random.Generator) -> np.ndarray:
        """Draw clusters for each step, (steps, number): random orders of all clusters, one after the other."""
        each = len(self) // number  # batches of one order; the rest of it is not used
        orders = generator.random((-(-steps // each), len(self))).argsort(axis=1)[:, : each * number]
        return orders.reshape(-1, number)[:steps]

    def images(self, clusters: np.ndarray, instances: int, generator: np.random.Generator) -> np.ndarray:
        """Draw the images of clusters: (M,) -> (M, instances) row numbers."""
        step = max(1, KEYS // int(self.counts.max()))
        blocks = [clusters[start : start + step] for start in range(0, len(clusters), step)]
        return np.concatenate([self._block(block, instances, generator) for block in blocks])

    def _block(self, clusters: np.ndarray, instances: int, generator: np.random.Generator) -> np.ndarray:
        starts, counts = self.starts[clusters][:, None], self.counts[clusters][:, None]
        first = starts + generator.integers(0, counts)
        offsets = np.arange(int(counts.max()))[None, :]
        at = np.minimum(starts + offsets, len(self.rows) - 1)
        others = (offsets < counts) & (at != first)
        elsewhere = others & (self.cameras[at] != self.cameras[first])
        pool = np.where(elsewhere.any(axis=1, keepdims=True), elsewhere, others)
        pool |= (counts == 1) & (at == first) & (offsets < counts)  # a cluster of one image repeats it
        size = pool.sum(axis=1, keepdims=True)
        shuffled = np.where(pool, generator.random(pool.shape), np.inf).argsort(axis=1)  # of the pool first
        distinct = np.minimum(np.arange(instances - 1), size - 1)
        repeated = generator.integers(0, size, size=(len(clusters), instances - 1))
        chosen = np.where(size < instances, repeated, distinct)
        drawn = np.take_along_axis(shuffled, chosen, axis=1) + starts
        return self.rows[np.concatenate([first, drawn], axis=1)]


@SAMPLERS.register
class ClusterSampler:
    """Images of clusters of each modality: K images of each of several visible and several infrared clusters.

    Each modality runs through its clusters in random order, again and again. Of a cluster it draws one image, and K - 1
    from the images of the other cameras; without such images, from its other images. It draws with replacement if these
    are fewer than K. Visible and infrared clusters of a batch have no relation. Outliers (label -1) take no part.

    The batches of an epoch are a function of (seed, epoch) and the labels. With several processes, each has a part of
    the clusters of the same global batch. Visible rows come first.

    Args:
        samples: Training images; their identities are not read.
        instances: K.
        visible: Visible images in a batch, over all processes.
        infrared: Infrared images in a batch, over all processes.
        steps: Batches in an epoch.
        seed: Random seed.
        rank: Number of this process.
        world: Number of processes.

    Raises:
        ArgumentError: For numbers of images that are not multiples of `instances`.
        DataError: For numbers of clusters that cannot be shared by the processes; from `set_labels`, if there are fewer
            clusters than a batch needs.

    Source:
        ADCA (ACM MM 2022) and PGM (CVPR 2023), released code.

    Departs:
        Batches are drawn from (seed, epoch); `released_cluster_pass` has the released draws. A cluster of one image
        gives it K times; in the release it gives one image, which shifts the clusters of all later batches.
    """

    example: ClassVar[dict] = {"instances": 2, "visible": 4, "infrared": 4, "steps": 2}

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        instances: int = 16,
        visible: int = 128,
        infrared: int = 256,
        steps: int = 200,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        require_positive(instances=instances, visible=visible, infrared=infrared, steps=steps, world=world)
        count = len(samples)
        self.modality = np.fromiter((sample.modality for sample in samples), np.int64, count)
        self.cameras = np.fromiter((sample.camera for sample in samples), np.int64, count)
        self.instances, self.steps, self.seed, self.epoch = instances, steps, seed, 0
        self.numbers, self.shares = {}, {}
        for modality, name, images in ((0, "visible", visible), (1, "infrared", infrared)):
            if images % instances:
                raise ArgumentError(name, f"= {images} must be a multiple of INSTANCES = {instances}")
            if images // instances % world:
                raise DataError(
                    f"SAMPLER.{name.upper()} = {images} are {images // instances} clusters, which {world} processes"
                    f" cannot share equally; set it to a multiple of {instances * world}"
                )
            self.numbers[modality] = images // instances
            self.shares[modality] = identities_of_rank(images // instances, rank, world)
        self._clusters: dict[int, _Clusters] = {}

    def set_labels(self, labels: np.ndarray) -> None:
        """Draw from these labels, (N,) int64; -1: outlier."""
        for modality in Modality:
            rows = np.flatnonzero(self.modality == modality)
            clusters = _Clusters(rows, labels[rows], self.cameras[rows])
            needed, name = self.numbers[modality], modality.name
            if len(clusters) < needed:
                raise DataError(
                    f"SAMPLER.{name} = {needed * self.instances} needs {needed} {name.lower()} clusters in a batch, but"
                    f" LABELS made {counted(len(clusters), 'cluster')}; raise LABELS.EPS, lower LABELS.MIN_SAMPLES, or"
                    f" set SAMPLER.{name} to {len(clusters) * self.instances} or less"
                )
            self._clusters[modality] = clusters

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rows().tolist())

    def rows(self) -> np.ndarray:
        """Return all batches of the epoch: (steps, (visible + infrared) / world) row numbers."""
        assert self._clusters, "set_labels must be called before batches are drawn"
        generator, parts = numpy_generator(self.seed, self.epoch), []
        for modality, clusters in self._clusters.items():
            chosen = clusters.order(self.steps, self.numbers[modality], generator)
            drawn = clusters.images(chosen.ravel(), self.instances, generator)
            drawn = drawn.reshape(self.steps, self.numbers[modality], self.instances)
            parts.append(drawn[:, self.shares[modality]].reshape(self.steps, -1))
        return np.concatenate(parts, axis=1)


def released_cluster_pass(
    labels: np.ndarray,
    cameras: np.ndarray,
    *,
    instances: int,
    by_camera: bool,
    order: torch.Generator,
    first: random.Random,
    others: np.random.RandomState,
) -> list[int]:
    """Draw one pass of the released sampler, with the same calls of the three random generators.

    Args:
        labels: (N,) clusters of images that are not outliers.
        cameras: (N,) cameras.
        instances: Images of each cluster.
        by_camera: Prefer images of other cameras; false skips this rule.
        order: Draws the order of the clusters.
        first: Draws the first image of each cluster.
        others: Draws the other images.

    Returns:
        Positions; a cluster of one image gives that one alone.

    Source:
        ADCA (ACM MM 2022), released code.
    """
    clusters = {label: np.flatnonzero(labels == label).tolist() for label in dict.fromkeys(labels.tolist())}
    names, out = list(clusters), []
    for number in torch.randperm(len(names), generator=order).tolist():
        images = clusters[names[number]]
        one = first.choice(images)
        out.append(one)
        rest = [image for image in images if image != one]
        elsewhere = [image for image in rest if cameras[image] != cameras[one]] if by_camera else []
        pool = elsewhere or rest
        if pool:
            drawn = others.choice(len(pool), size=instances - 1, replace=len(pool) < instances)
            out.extend(pool[at] for at in drawn)
    return out
