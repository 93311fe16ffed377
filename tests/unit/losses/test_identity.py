from __future__ import annotations

import math

import pytest
import torch

from vireid.losses.identity import IdentityCrossEntropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_equals_the_loop(smoothing):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([3, 0, 0, 1, 2, 3])
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist()):
        log_sum = math.log(sum(math.exp(v) for v in row))
        for k, v in enumerate(row):
            target = (1 - smoothing) * (k == label) + smoothing / 4
            total -= target * (v - log_sum) / 6
    assert float(IdentityCrossEntropy(smoothing=smoothing)(logits, labels)) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_has_a_range(smoothing):
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\)"):
        IdentityCrossEntropy(smoothing=smoothing)
