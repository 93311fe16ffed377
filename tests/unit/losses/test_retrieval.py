"""Cross-modality retrieval loss against a loop over queries."""

import pytest
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.layers.soft_rank import soft_rank
from vireid.losses import CrossModalityRetrieval


def naive(features: Tensor, labels: Tensor, modality: Tensor, strength: float) -> Tensor:
    of_modality = []
    for own in (0, 1):
        gallery = [row for row in range(len(labels)) if modality[row] != own]
        of_query = []
        for query in (row for row in range(len(labels)) if modality[row] == own):
            matches = [bool(labels[row] == labels[query]) for row in gallery]
            if all(matches) or not any(matches):
                continue
            cosines = torch.stack([torch.cosine_similarity(features[query], features[row], dim=0) for row in gallery])
            ranks = soft_rank((1 - cosines) / 2, strength=strength)
            targets = torch.tensor([1 if match else len(gallery) for match in matches])
            of_query.append((ranks - targets).abs().mean())
        if of_query:
            of_modality.append(torch.stack(of_query).mean())
    return torch.stack(of_modality).mean() if of_modality else features.sum() * 0


def rows(number: int, identities: int, seed: int, visible: float = 0.5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(number, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    modality = (torch.rand(number, generator=generator) >= visible).long()
    return features, torch.randint(identities, (number,), generator=generator), modality


@pytest.mark.parametrize("strength", [0.5, 0.1, 0.02])
@pytest.mark.parametrize(
    ("number", "identities", "visible"), [(24, 4, 0.5), (9, 3, 0.7), (7, 2, 0.5), (6, 2, 0.2), (5, 3, 0.9), (4, 9, 0.5)]
)
def test_equals_a_loop_over_queries(number, identities, visible, strength):
    features, labels, modality = rows(number, identities, seed=number, visible=visible)
    ours, expected = (
        CrossModalityRetrieval(strength=strength)(features, labels, modality),
        naive(features, labels, modality, strength),
    )
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(value, features)[0] for value in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_rows_in_any_order():
    features, labels, modality = rows(12, 3, seed=1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    loss = CrossModalityRetrieval()
    torch.testing.assert_close(loss(features[order], labels[order], modality[order]), loss(features, labels, modality))


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 0, 0, 0]], ids=["no match", "matches only"])
def test_no_query_gives_zero_without_a_gradient(labels):
    features = torch.randn(4, 3, requires_grad=True)
    value = CrossModalityRetrieval()(features, torch.tensor(labels), torch.tensor([0, 1, 0, 1]))
    value.backward()
    assert value == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_one_modality_gives_zero():
    assert CrossModalityRetrieval()(torch.randn(4, 3), torch.tensor([0, 0, 1, 1]), torch.zeros(4)) == 0


def test_half_precision_is_computed_in_float32():
    features, labels, modality = rows(12, 3, seed=2)
    value = CrossModalityRetrieval()(features.detach().bfloat16(), labels, modality)
    assert value.dtype == torch.float32
    assert value.isfinite()


def test_wrong_strength():
    with pytest.raises(ArgumentError, match="strength must be above 0"):
        CrossModalityRetrieval(strength=0)
