from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from vireid.core.errors import ArgumentError
from vireid.core.types import Progress
from vireid.engine.trainer import EpochStart
from vireid.losses.distillation import ModalityMutualLearning

LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 3])
MODALITY = torch.tensor([0, 1, 1, 0, 1, 0, 0])


@pytest.fixture
def loss() -> ModalityMutualLearning:
    torch.manual_seed(0)
    loss = ModalityMutualLearning(update=0.3, id_weight=0.7, kl_weight=2.0, num_ids=4, feature_dim=6).double()
    for copied in (loss.visible_copy, loss.infrared_copy):
        copied.add_(torch.randn_like(copied))  # as after some steps
    return loss


def features() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(7, 6, generator=generator, dtype=torch.float64).requires_grad_()


def naive(loss: ModalityMutualLearning, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Row by row, from the state before the step; all agreements."""
    own = {0: loss.visible.weight, 1: loss.infrared.weight}
    slow = {0: loss.visible_copy, 1: loss.infrared_copy}
    slow = {m: (0.7 * slow[m] + 0.3 * own[m]).detach() for m in own}
    identity: dict[int, list] = {0: [], 1: []}
    kl, soft = [], []
    for row, label, m in zip(x, LABELS.tolist(), MODALITY.tolist()):
        p = torch.softmax(own[m] @ row, 0)
        q = torch.softmax(slow[1 - m] @ row.detach(), 0)
        identity[m].append(-p[label].log())
        kl.append(sum(p[c] * (p[c].log() - q[c].log()) for c in range(4)))
        soft.append(-sum(q[c] * p[c].log() for c in range(4)))
    by_modality = [sum(values) / len(values) for values in identity.values()]
    agreements = {"kl": 2.0 * sum(kl) / len(kl), "soft_cross_entropy": 2.0 * sum(soft) / len(soft)}
    return {"id": 0.7 * sum(by_modality), **agreements}


@pytest.mark.parametrize("agreement", ["kl", "soft_cross_entropy"])
def test_equals_the_loop_with_gradients(loss, agreement):
    x = features()
    expected = naive(loss, x)
    loss.agreement = agreement
    ours = loss(x, LABELS, MODALITY)
    assert set(ours) == {"id", agreement}
    inputs = [x, loss.visible.weight, loss.infrared.weight]
    for name in ("id", agreement):
        torch.testing.assert_close(ours[name], expected[name])
        grads = [torch.autograd.grad(v[name], inputs, retain_graph=True) for v in (ours, expected)]
        torch.testing.assert_close(*grads)


def test_copies_move_in_training_only(loss):
    before = loss.visible_copy.clone(), loss.infrared_copy.clone()
    loss.eval()(features(), LABELS, MODALITY)
    assert torch.equal(loss.visible_copy, before[0])
    loss.train()(features(), LABELS, MODALITY)
    for now, was, own in zip((loss.visible_copy, loss.infrared_copy), before, (loss.visible, loss.infrared)):
        torch.testing.assert_close(now, 0.7 * was + 0.3 * own.weight.detach())


def test_copies_start_as_copies_not_as_the_same_tensors():
    loss = ModalityMutualLearning(num_ids=3, feature_dim=2)
    assert torch.equal(loss.visible_copy, loss.visible.weight)
    with torch.no_grad():
        loss.visible.weight.add_(1)
    assert not torch.equal(loss.visible_copy, loss.visible.weight)
    loaded = ModalityMutualLearning(num_ids=3, feature_dim=2)
    loaded.load_state_dict(loss.state_dict())
    assert torch.equal(loaded.visible.weight, loss.visible.weight)
    assert torch.equal(loaded.visible_copy, loss.visible_copy)


def test_the_rate_falls_after_a_hundred_epochs_and_is_state(loss):
    def nobody():
        raise AssertionError("no features are needed")

    loss.start_epoch(EpochStart(Progress(epoch=199), nobody))
    assert loss.rate.item() == pytest.approx(0.3 * 100 / 201)
    other = ModalityMutualLearning(update=0.3, num_ids=4, feature_dim=6).double()
    other.load_state_dict(copy.deepcopy(loss.state_dict()))
    assert torch.equal(other.rate, loss.rate)


def test_a_batch_of_one_modality_is_finite(loss):
    x = features()
    terms = loss(x, LABELS, torch.zeros_like(MODALITY))
    (terms["id"] + terms["kl"]).backward()
    assert x.grad.isfinite().all()
    plain = F.cross_entropy(loss.visible(x), LABELS)
    torch.testing.assert_close(terms["id"], 0.7 * plain)


def test_the_rate_is_checked():
    with pytest.raises(ValueError, match=r"update must lie in \[0, 1\], got 2"):
        ModalityMutualLearning(update=2, num_ids=2, feature_dim=2)


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match=r"id_weight and kl_weight must be at least 0, got 1.0 and -0.5"):
        ModalityMutualLearning(kl_weight=-0.5, num_ids=2, feature_dim=2)


def test_another_agreement_is_refused():
    with pytest.raises(ArgumentError, match="did you mean 'soft_cross_entropy'"):
        ModalityMutualLearning(agreement="soft_crossentropy", num_ids=2, feature_dim=2)
