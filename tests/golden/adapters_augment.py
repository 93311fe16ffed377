"""Golden adapters of what is done to images: the augmentations of the releases, and mirror images in their tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from adapters_losses import same, tensor
from runner import Case, adapter
from torch import Tensor

from vireid.core.types import Batch
from vireid.evaluation.flips import with_mirror
from vireid.layers.norms import unit_rows

# -- mirror images in the tests of CAJ and DEEN ----------------------------------------------------------------------

FLIPS = {"rtol": 1e-10, "atol": 1e-12}


def images_alone(images: Tensor) -> Batch:
    zeros = torch.zeros(len(images), dtype=torch.long)
    return Batch(images, zeros, zeros, zeros, zeros, zeros)


def described_in_batches(case: Case, network: Callable[[Tensor], Tensor]) -> Tensor:
    """The network on images and their mirror images, as many at once as the release took."""
    describe = with_mirror(lambda batch: network(batch.images.flatten(1)))
    images = tensor(case.arrays["in_x"], torch.float64)
    return torch.cat([describe(images_alone(rows)) for rows in images.split(case.params["batch"])])


@adapter("agw", "tta_caj_flip")
def tta_caj_flip(case: Case) -> None:
    for out, matrix in {"out0": "A1", "out1": "A2"}.items():
        weights = tensor(case.arrays[matrix], torch.float64)
        rows = unit_rows(described_in_batches(case, lambda flat, weights=weights: unit_rows(flat @ weights)))
        same(rows, case.arrays[out], FLIPS, out)


@adapter("agw", "tta_deen_flip")
def tta_deen_flip(case: Case) -> None:
    """Six descriptions (two in each of three branches), each added to that of the mirror image; lengths stay."""
    branches = (lambda p: p, lambda p: p.roll(1, 1), lambda p: p.roll(2, 1) + 0.1)
    weights = [tensor(case.arrays[name], torch.float64) for name in ("A1", "A2")]
    networks = [
        lambda flat, matrix=matrix, branch=branch: unit_rows(branch(unit_rows(flat @ matrix)))
        for branch in branches
        for matrix in weights
    ]
    for i, network in enumerate(networks):
        same(described_in_batches(case, network), case.arrays[f"out{i}"], FLIPS, f"out{i}")
