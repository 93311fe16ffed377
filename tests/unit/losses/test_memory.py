"""Banks and terms recomputed row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vireid.core.errors import ConfigError
from vireid.core.types import EmbeddingTable, Progress
from vireid.losses.memory import Bank, ConsistencyMemory, identity_means

IDS, WIDTH, TAU = 5, 4, 0.2


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def rows(infrared: dict[int, int], seed: int = 0):
    """Two or three visible images, each with its copy, of three people; infrared ones as given; shuffled."""
    columns = []
    for label, visible in ((4, 2), (0, 3), (2, 2)):
        columns += [(label, 0, view, 10 * label + n) for view in (0, 1) for n in range(visible)]
        columns += [(label, 1, 0, 100 + 10 * label + n) for n in range(infrared[label])]
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(columns), generator=generator)
    labels, modality, view, index = torch.tensor(columns)[order].unbind(1)
    x = torch.randn(len(columns), WIDTH, generator=generator, dtype=torch.float64).requires_grad_()
    return x, labels, modality, view, index


BALANCED, RAGGED = {4: 2, 0: 3, 2: 2}, {4: 1, 0: 3, 2: 4}


def memory(**arguments) -> ConsistencyMemory:
    torch.manual_seed(0)
    loss = ConsistencyMemory(num_ids=IDS, feature_dim=WIDTH, temperature=TAU, **arguments).double()
    with torch.no_grad():
        for bank in (loss.joint, *loss.banks.values()):  # frozen tables that differ from the running ones
            bank.centers.copy_(unit(bank.features + 0.3 * torch.randn_like(bank.features)))
    return loss


def terms_by_loop(loss, x, labels, modality, view, index, *, frozen: bool, auxiliary: bool):
    x = unit(x)
    stream = ["infrared" if m else "auxiliary" if v else "visible" for m, v in zip(modality.tolist(), view.tolist())]
    used = [i for i in range(len(x)) if auxiliary or stream[i] != "auxiliary"]

    def cross_entropy(bank, i):
        return torch.logsumexp(x[i] @ bank.features.T / TAU, 0) - x[i] @ bank.features[labels[i]] / TAU

    def softmax(row, name):
        bank = loss.banks[name]
        return (row @ (bank.centers if frozen else bank.features).T / TAU).softmax(0)

    center, people = [], {int(labels[i]) for i in used}
    for i in used:
        apart = {k: (x[i] - loss.joint.centers[k]).norm() for k in people}
        nearest = min(value for k, value in apart.items() if k != labels[i])
        center.append(torch.relu(apart[int(labels[i])] - nearest + 0.3))
    terms = {"center": torch.stack(center).mean()}
    terms["memory"] = torch.stack([cross_entropy(loss.joint, i) for i in used]).mean()
    for name, weight in (("visible", 1.0), ("infrared", 1.0), *([("auxiliary", 0.4)] if auxiliary else [])):
        mine = [cross_entropy(loss.banks[name], i) for i in used if stream[i] == name]
        terms[name] = weight * torch.stack(mine).mean()

    costs = []
    for i in used:
        own, other = stream[i], {"visible": "infrared", "infrared": "visible"}.get(stream[i])
        teacher = softmax(x[i].detach(), "infrared")
        if other:
            place = [j for j in sorted(used, key=lambda j: int(index[j])) if labels[j] == labels[i]]
            mine, theirs = ([j for j in place if stream[j] == name] for name in (own, other))
            if mine.index(i) >= len(theirs):
                continue
            teacher = softmax(x[theirs[mine.index(i)]].detach(), own)
        costs.append((teacher * (teacher.log() - softmax(x[i], own).log())).sum())
    terms["kl"] = 1.2 * torch.stack(costs).mean()
    return terms


@pytest.mark.parametrize("infrared", [BALANCED, RAGGED], ids=["balanced", "ragged"])
@pytest.mark.parametrize("align", ["frozen", "running"])
@pytest.mark.parametrize("auxiliary", [True, False])
def test_terms_equal_the_loop(infrared, align, auxiliary):
    x, *others = rows(infrared)
    loss = memory(align=align, auxiliary=int(auxiliary))
    naive = terms_by_loop(loss, x, *others, frozen=align == "frozen", auxiliary=auxiliary)
    (expected,) = torch.autograd.grad(torch.stack(list(naive.values())).sum(), x)
    ours = loss(x, *others)
    assert list(ours) == list(naive)
    for name, value in naive.items():
        torch.testing.assert_close(ours[name], value, msg=lambda text, name=name: f"{name}: {text}")
    torch.testing.assert_close(torch.autograd.grad(torch.stack(list(ours.values())).sum(), x)[0], expected)


@pytest.mark.parametrize("hard", [False, True])
def test_banks_move_as_the_loop_says(hard):
    torch.manual_seed(0)
    bank = Bank(IDS, WIDTH, momentum=0.3, hard=hard).double()
    x, labels, modality, *_ = rows(RAGGED)
    x, chosen, before = unit(x.detach()), modality == 1, bank.features.clone()
    bank.update(x, labels, chosen)
    for k in range(IDS):
        mine = [i for i in range(len(x)) if labels[i] == k and chosen[i]]
        if not mine:
            assert torch.equal(bank.features[k], before[k])
            continue
        v = min((x[i] for i in mine), key=lambda row: float(row @ before[k])) if hard else x[mine].mean(0)
        torch.testing.assert_close(bank.features[k], unit(0.3 * before[k] + 0.7 * v))
    assert not torch.equal(bank.features, bank.centers)


def test_of_equally_unlike_rows_the_first_counts():
    bank = Bank(2, 2, momentum=0.0, hard=True)
    bank.fill(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    x = torch.tensor([[0.6, 0.8], [0.6, -0.8], [1.0, 0.0]])
    bank.update(x, torch.tensor([0, 0, 0]), torch.tensor([True, True, True]))
    torch.testing.assert_close(bank.features, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


def test_only_training_moves_the_banks():
    x, *others = rows(BALANCED)
    loss = memory()
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.eval()(x, *others)
    with torch.no_grad():
        loss.train()(x, *others)
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    loss(x, *others)
    after = loss.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {
        name for name in after if name.endswith(".features")
    }


class Context:
    """Descriptors of four people; the auxiliary ones are turned round."""

    progress, samples = Progress(), ()

    def __init__(self, width: int = WIDTH) -> None:
        generator = np.random.default_rng(0)
        self.labels, self.modality = np.arange(16) % 4, np.arange(16) // 8
        self.features = generator.normal(size=(16, width)).astype(np.float32)

    def training_features(self, view: int = 0) -> EmbeddingTable:
        rows = self.modality == 0 if view else np.ones(16, bool)
        values = self.features[rows] * (-1 if view else 1)
        return EmbeddingTable(values, self.labels[rows], np.zeros(rows.sum()), self.modality[rows])


def test_an_epoch_starts_from_the_training_set():
    loss, context = memory(), Context()
    loss.start_epoch(context)
    for k in range(4):
        means = {}
        for name, modality in (("visible", 0), ("infrared", 1)):
            mine = context.features[(context.labels == k) & (context.modality == modality)].mean(0)
            means[name] = mine / math.sqrt((mine**2).sum())
        means["auxiliary"] = -means["visible"]
        for name, bank in loss.banks.items():
            np.testing.assert_allclose(bank.centers[k].numpy(), means[name], atol=1e-6)
        np.testing.assert_allclose(loss.joint.centers[k].numpy(), sum(means.values()) / 3, atol=1e-6)
    for bank in (loss.joint, *loss.banks.values()):
        assert torch.equal(bank.features, bank.centers)
    assert not loss.banks["visible"].features[4].any()  # nobody


def test_identity_means_of_nobody_are_zero():
    means = identity_means(torch.tensor([[3.0, 4.0]]), torch.tensor([1]), 2)
    torch.testing.assert_close(means, torch.tensor([[0.0, 0.0], [0.6, 0.8]]))


def test_descriptors_of_another_width_are_refused():
    with pytest.raises(ConfigError, match=r"MODEL.EMBEDDING is 7 wide and the memories read a field of 4"):
        memory().start_epoch(Context(7))


def test_one_identity_is_an_error():
    x, labels, *others = rows(BALANCED)
    with pytest.raises(ValueError, match="at least two identities"):
        memory()(x, torch.zeros_like(labels), *others)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"auxiliary": -1}, "auxiliary must be the number of a view, or 0 for none, got -1"),
        ({"kl_weight": -0.5}, "margin and the four weights must be at least 0"),
    ],
)
def test_wrong_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        ConsistencyMemory(num_ids=2, feature_dim=2, **arguments)
