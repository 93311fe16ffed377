"""Rows gathered from several processes give the losses and memories of one process with the whole batch."""

import numpy as np
import pytest
import torch

from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import Modality
from vireid.losses import AlternateCrossContrast, DualContrast

VISIBLE, INFRARED, WIDTH = 5, 4, 6


def batch(seed: int) -> dict[str, torch.Tensor]:
    """8 visible images in two views, then 8 infrared images; every cluster has several rows."""
    generator = torch.Generator().manual_seed(seed)
    visible = torch.randint(VISIBLE, (8,), generator=generator)
    infrared = torch.randint(INFRARED, (8,), generator=generator) + VISIBLE
    return {
        "features_bn": torch.randn(24, WIDTH, generator=generator, dtype=torch.float64),
        "labels": torch.cat([visible, visible, infrared]),
        "modality": torch.tensor([Modality.VISIBLE, Modality.VISIBLE, Modality.INFRARED]).repeat_interleave(8),
        "view": torch.tensor([0, 1, 0]).repeat_interleave(8),
    }


def filled(loss: DualContrast) -> DualContrast:
    centroids = torch.randn(VISIBLE + INFRARED, WIDTH, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    labels = PseudoLabels(np.arange(VISIBLE + INFRARED), VISIBLE, INFRARED)
    loss.fill(torch.nn.functional.normalize(centroids, dim=1), labels)
    return loss


def matched(**settings: str) -> AlternateCrossContrast:
    loss = AlternateCrossContrast(**settings)
    loss.match(np.array([5, 6, 7, 8, 5, 0, 1, 2, 3]))
    return loss


@pytest.mark.parametrize("update", ["mean", "hard"])
@pytest.mark.parametrize("make", [DualContrast, matched])
def test_rows_of_two_processes_equal_those_of_one(make, update):
    # each process has half of the images of each view and modality; gathered rows stand process after process
    of_first = torch.cat([torch.arange(start, start + 4) for start in (0, 8, 16)])
    gathered = torch.cat([of_first, of_first + 4])
    one, two = filled(make(update=update)), filled(make(update=update))
    for seed in range(3):
        whole = batch(seed)
        split = {name: value[gathered] for name, value in whole.items()}
        ours, theirs = two(**split), one(**whole)
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(two.memory.centroids, one.memory.centroids, rtol=1e-12, atol=1e-12)


def test_the_memory_of_mean_updates_depends_on_the_order_of_rows():
    """Otherwise the test above could not fail."""
    one, two = filled(DualContrast()), filled(DualContrast())
    whole = batch(0)
    two(**{name: value.flip(0) for name, value in whole.items()})
    one(**whole)
    assert not torch.allclose(one.memory.centroids, two.memory.centroids)
