from __future__ import annotations

import pytest
import torch

from vireid.losses.modality_shared import DiscriminativeCenter, ModalitySharedEnhancement
from vireid.losses.triplet import IntraModalityTriplet

KEYS = [(identity, modality) for identity in (4, 0, 9) for modality in (0, 1)]
BALANCED = dict.fromkeys(KEYS, 3)
RAGGED = {(4, 0): 2, (4, 1): 3, (0, 0): 2, (0, 1): 1, (9, 0): 4}  # (0, 1): no intra positive; (9, 0): no cross positive


def batch(counts: dict[tuple[int, int], int], width: int = 5, seed: int = 0):
    """Rows by {(identity, modality): number}, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    keys = [key for key, count in counts.items() for _ in range(count)]
    order = torch.randperm(len(keys), generator=generator)
    labels, modality = torch.tensor(keys)[order].unbind(1)
    features = torch.randn(len(keys), width, generator=generator, dtype=torch.float64).requires_grad_()
    return features, labels, modality


def apart(a, b) -> torch.Tensor:
    return (a - b).square().sum().clamp_min(1e-12).sqrt()


def mean(values: list) -> torch.Tensor:
    return torch.stack(values).mean()


def enhancement_by_loop(features, labels, modality):
    rows, terms = list(zip(features, labels.tolist(), modality.tolist())), []
    for i, (x, label, kind) in enumerate(rows):
        positives = [(apart(x, y), m) for j, (y, k, m) in enumerate(rows) if k == label and j != i]
        intra, cross = ([d for d, m in positives if (m == kind) is same] for same in (True, False))
        if intra and cross:
            terms.append((mean(cross) - mean(intra)).square())
    return mean(terms)


def center_by_loop(features, labels, _):
    to_center, to_negatives = [], []
    for label in sorted(set(labels.tolist())):
        members, others = features[labels == label], features[labels != label]
        center = members.mean(dim=0)
        to_center += [apart(center, x) for x in members]
        far = [apart(center, x) for x in others]
        to_negatives.append(mean([d for d in far if d < mean(far)]))
    return mean(to_center) / mean(to_negatives)


def intra_triplet_by_loop(features, labels, modality, margin=0.3):
    total = torch.zeros((), dtype=torch.float64)
    for kind in set(modality.tolist()):
        rows = list(zip(features[modality == kind], labels[modality == kind].tolist()))
        for x, label in rows:
            positive = torch.stack([apart(x, y) for y, other in rows if other == label]).max()
            negative = torch.stack([apart(x, y) for y, other in rows if other != label]).min()
            total = total + (positive - negative + margin).relu() / len(rows)
    return total


LOOPS = {
    "enhancement": (ModalitySharedEnhancement(), enhancement_by_loop),
    "center": (lambda x, y, _: DiscriminativeCenter()(x, y), center_by_loop),
    "intra triplet": (IntraModalityTriplet(margin=0.3), intra_triplet_by_loop),
}


@pytest.mark.parametrize("counts", [BALANCED, RAGGED], ids=["balanced", "ragged"])
@pytest.mark.parametrize("name", LOOPS)
def test_equals_the_loop(name, counts):
    features, labels, modality = batch(counts)
    ours, naive = (loss(features, labels, modality) for loss in LOOPS[name])
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, features, retain_graph=True)[0] for v in (ours, naive)))


@pytest.mark.parametrize("name", LOOPS)
def test_the_order_of_rows_does_not_matter(name):
    features, labels, modality = batch(RAGGED)
    loss, order = LOOPS[name][0], torch.arange(len(labels)).flip(0)
    swapped = loss(features[order], labels[order], modality[order])
    torch.testing.assert_close(swapped, loss(features, labels, modality))


def test_enhancement_without_rows_of_both_positives_raises():
    features, labels, modality = batch(dict.fromkeys(KEYS, 1))
    with pytest.raises(ValueError, match="no row of the batch has positives in both modalities; use a sampler with"):
        ModalitySharedEnhancement()(features, labels, modality)


def test_center_of_one_identity_raises():
    with pytest.raises(ValueError, match="all rows of the batch have the same identity; use a sampler with"):
        DiscriminativeCenter()(torch.eye(3), torch.tensor([7, 7, 7]))


def test_center_counts_all_negatives_where_they_are_equally_far():
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, 3.0]], requires_grad=True)
    loss = DiscriminativeCenter()(features, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(0.5 / ((3 + 10**0.5) / 2), rel=1e-5)  # own distances: 1, 1, 1e-6, 1e-6
    assert features.grad.isfinite().all()


def test_intra_triplet_needs_two_identities_in_each_modality():
    features, labels, modality = batch({(0, 0): 2, (1, 0): 2, (0, 1): 2})
    with pytest.raises(ValueError, match="at least two identities in each modality"):
        IntraModalityTriplet()(features, labels, modality)
