"""Memories, terms and gradients of the cluster losses recomputed row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vireid.clustering import match_clusters, shared_pairs
from vireid.core.errors import ArgumentError, ConfigError
from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import EmbeddingTable, Modality, Progress
from vireid.losses import AggregatedDualContrast, AlternateCrossContrast, DualContrast
from vireid.losses.cluster_memory import ClusterMemory, cluster_centroids, occurrences
from vireid.testing import TinyEpoch

VISIBLE, INFRARED, WIDTH, TAU = 4, 3, 6, 0.1


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def epoch(number: int = 0, seed: int = 0) -> TinyEpoch:
    """40 images of both modalities in 4 visible and 3 infrared clusters, and outliers; embeddings of any norm."""
    rng = np.random.default_rng(seed)
    modality = rng.integers(0, 2, 40)
    clusters = np.where(modality == 0, np.arange(40) % (VISIBLE + 1), np.arange(40) % (INFRARED + 1)) - 1
    rows = np.eye(WIDTH)[clusters % WIDTH] + 0.4 * rng.standard_normal((40, WIDTH))
    rows = (0.9 * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    labels = PseudoLabels.joined(clusters, modality)
    assert (labels.visible_clusters, labels.infrared_clusters) == (VISIBLE, INFRARED)
    table = EmbeddingTable(rows, labels=np.full(40, -1), cameras=modality, modality=modality)
    return TinyEpoch(Progress(epoch=number), (), labels, table)


def batch(seed: int = 1, *, double: bool = True):
    """Rows of visible view 0, of view 1 and infrared rows in this order; clusters with several rows and without."""
    generator = torch.Generator().manual_seed(seed)
    visible, infrared = torch.tensor([0, 0, 2, 2, 2, 3]), torch.tensor([4, 6, 6, 4, 6])
    labels = torch.cat([visible, visible, infrared])
    modality = torch.tensor([0] * 12 + [1] * 5)
    view = torch.tensor([0] * 6 + [1] * 6 + [0] * 5)
    rows = torch.randn(17, WIDTH, generator=generator, dtype=torch.float64 if double else torch.float32)
    return {"features_bn": rows.requires_grad_(), "labels": labels, "modality": modality, "view": view}


def started(loss: DualContrast, number: int = 0) -> DualContrast:
    """The loss at the start of an epoch, with its memory in float64."""
    loss.start_epoch(epoch(number))
    assert loss.memory is not None
    loss.memory.centroids = loss.memory.centroids.double()
    return loss


def updated(memory, x, labels, chosen, momentum: float, update: str):
    """The memory after these rows, one by one."""
    old = np.float32(momentum).item()
    new = (np.float32(1) - np.float32(momentum)).item()
    memory = memory.clone()
    if update == "mean":
        for row in chosen:
            memory[labels[row]] = unit(old * memory[labels[row]] + new * x[row])
        return memory
    for label in {int(labels[row]) for row in chosen}:
        hardest = min((row for row in chosen if labels[row] == label), key=lambda row: float(x[row] @ memory[label]))
        memory[label] = unit(old * memory[label] + new * x[hardest])
    return memory


def mean_cross_entropy(x, memory, labels, chosen, first: int, end: int):
    losses = [
        torch.logsumexp(x[row] @ memory[first:end].T / TAU, 0) - x[row] @ memory[labels[row]] / TAU for row in chosen
    ]
    return torch.stack(losses).mean()


# -- the memory --------------------------------------------------------------------------------------------------------


def test_centroids_are_the_unit_means_of_clusters_without_outliers():
    context = epoch()
    loss = DualContrast()
    loss.start_epoch(context)
    assert loss.memory is not None
    for label in range(VISIBLE + INFRARED):
        mean = context.table.embeddings[context.labels.labels == label].mean(axis=0)
        np.testing.assert_allclose(loss.memory.centroids[label], mean / np.linalg.norm(mean), atol=1e-6)
    empty = cluster_centroids(torch.eye(3), torch.tensor([-1, -1, 1]), 2)
    assert empty.tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("update", ["mean", "hard"])
@pytest.mark.parametrize("seed", range(4))
def test_an_update_equals_the_loop_on_the_host_and_without_reading_values(update, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (30,), generator=generator)
    chosen = torch.rand(30, generator=generator) < 0.7
    labels[~chosen] = -1
    rows, start = (unit(torch.randn(n, 4, generator=generator, dtype=torch.float64)) for n in (30, 6))
    expected = updated(start, rows, labels, chosen.nonzero()[:, 0].tolist(), 0.2, update)
    host = ClusterMemory(start.clone(), momentum=0.2, update=update)
    host.take(rows, labels, chosen)
    torch.testing.assert_close(host.centroids, expected)
    device = ClusterMemory(start.clone(), momentum=0.2, update=update)
    which = device._hardest(rows, labels, chosen) if update == "hard" else chosen
    device._scan(rows, labels, which, steps=1 if update == "hard" else len(rows))
    torch.testing.assert_close(device.centroids, expected)


@pytest.mark.parametrize("update", ["mean", "hard"])
def test_an_update_without_rows_changes_nothing(update):
    memory = ClusterMemory(torch.eye(3), momentum=0.1, update=update)
    memory.take(torch.ones(2, 3), torch.tensor([0, 1]), torch.tensor([False, False]))
    memory.take(torch.ones(0, 3), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    assert torch.equal(memory.centroids, torch.eye(3))


def test_the_first_of_equal_rows_is_the_hardest():
    rows = unit(torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, 1.0]]))
    memory = ClusterMemory(torch.tensor([[0.0, 1.0]]), momentum=0.5, update="hard")
    memory.take(rows, torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(memory.centroids, unit(torch.tensor([[0.5**0.5, 1 + 0.5**0.5]])))


def test_occurrences_by_loop():
    labels = torch.randint(0, 4, (50,), generator=torch.Generator().manual_seed(0))
    chosen = torch.rand(50, generator=torch.Generator().manual_seed(1)) < 0.6
    seen, expected = {}, []
    for label, used in zip(labels.tolist(), chosen.tolist()):
        expected.append(seen.get(label, 0) if used else -1)
        seen[label] = seen.get(label, 0) + used
    assert occurrences(labels, chosen).tolist() == expected


# -- dual contrast -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", ["mean", "hard"])
def test_dual_contrast_equals_the_loop_for_two_steps(update):
    loss = started(DualContrast(temperature=TAU, momentum=0.3, update=update))
    memory = loss.memory.centroids.clone()
    for seed in (1, 2):
        rows = batch(seed)
        x, labels = unit(rows["features_bn"]), rows["labels"]
        expected = {
            "visible": mean_cross_entropy(x, memory, labels, range(12), 0, VISIBLE),
            "infrared": mean_cross_entropy(x, memory, labels, range(12, 17), VISIBLE, VISIBLE + INFRARED),
        }
        (gradient,) = torch.autograd.grad(sum(expected.values()), rows["features_bn"])
        values = loss(**rows)
        assert list(values) == list(expected)
        for name, value in values.items():
            torch.testing.assert_close(value, expected[name])
        torch.stack(list(values.values())).sum().backward()
        torch.testing.assert_close(rows["features_bn"].grad, gradient)
        memory = updated(memory, x.detach(), labels, range(17), 0.3, update)
        torch.testing.assert_close(loss.memory.centroids, memory)


def test_nothing_is_updated_in_evaluation_or_without_gradients():
    loss = started(DualContrast())
    before = loss.memory.centroids.clone()
    with torch.no_grad():
        loss(**batch())
    loss.eval()
    loss(**batch())
    assert torch.equal(loss.memory.centroids, before)


def test_the_memory_is_not_in_the_state_dict_and_starts_again_in_each_epoch():
    loss = DualContrast()
    loss.start_epoch(epoch())
    first = loss.memory.centroids.clone()
    loss(**batch(double=False))
    assert not torch.equal(loss.memory.centroids, first)
    assert loss.state_dict() == {}
    loss.start_epoch(epoch())
    assert torch.equal(loss.memory.centroids, first)


def test_labels_and_widths_that_do_not_fit_are_reported():
    annotated = TinyEpoch(Progress(), (), None, epoch().table)
    with pytest.raises(ConfigError, match="DualContrast needs pseudo labels; set LABELS"):
        DualContrast().start_epoch(annotated)
    rows = batch()
    rows["features_bn"] = torch.randn(17, WIDTH + 1)
    with pytest.raises(ConfigError, match=f"MODEL.EMBEDDING is {WIDTH} wide and DualContrast reads a field of"):
        started(DualContrast())(**rows)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: DualContrast(momentum=1.0), "momentum"),
        (lambda: DualContrast(temperature=0.0), "temperature"),
        (lambda: DualContrast(update="soft"), "update"),  # type: ignore[arg-type]
        (lambda: AggregatedDualContrast(keep=1.5), "keep"),
        (lambda: AlternateCrossContrast(cross_weight=-1.0), "cross_weight"),
        (lambda: AlternateCrossContrast(gradient="exakt"), "gradient"),  # type: ignore[arg-type]
    ],
)
def test_arguments_out_of_range_are_reported(build, name):
    with pytest.raises(ArgumentError) as error:
        build()
    assert error.value.parameter == name


# -- aggregation -------------------------------------------------------------------------------------------------------


def test_aggregation_mixes_the_visible_centroids_of_pairs_only():
    context, plain, loss = epoch(), DualContrast(), AggregatedDualContrast(threshold=0.3, keep=0.25)
    plain.start_epoch(context)
    loss.start_epoch(context)
    rows, labels = context.table.embeddings, context.labels.labels
    visible = context.table.modality == Modality.VISIBLE
    infrared_labels = np.where(labels[~visible] < 0, -1, labels[~visible] - VISIBLE)
    pairs = shared_pairs(rows[visible], rows[~visible], labels[visible], infrared_labels, threshold=0.3).pairs
    expected = plain.memory.centroids.clone()
    for own, other in pairs.tolist():
        expected[own] = 0.25 * plain.memory.centroids[own] + 0.75 * plain.memory.centroids[VISIBLE + other]
    assert 0 < len(pairs) == loss.epoch_report["paired_clusters"]
    torch.testing.assert_close(loss.memory.centroids, expected)
    assert float(loss.memory.centroids[pairs[:, 0]].norm(dim=1).max()) < 1  # not L2-normalized


# -- cross contrast ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2, 5])
@pytest.mark.parametrize("update", ["mean", "hard"])
@pytest.mark.parametrize("gradient", ["exact", "released"])
def test_cross_contrast_equals_the_loop(number, update, gradient):
    loss = AlternateCrossContrast(temperature=TAU, momentum=0.3, update=update, cross_weight=0.5, gradient=gradient)
    started(loss, number)
    before, rows = loss.memory.centroids.clone(), batch()
    x, labels = unit(rows["features_bn"]), rows["labels"]
    matches = match_clusters(before[:VISIBLE].numpy(), before[VISIBLE:].numpy())
    partner = [*(matches.infrared_of_visible + VISIBLE).tolist(), *matches.visible_of_infrared.tolist()]
    across = torch.tensor([partner[label] for label in labels.tolist()])
    of_visible, of_infrared = range(12), range(12, 17)
    sides = {"visible": (0, VISIBLE), "infrared": (VISIBLE, VISIBLE + INFRARED)}
    compared, side = (of_visible, "infrared") if number % 2 == 0 else (of_infrared, "visible")
    crossed = updated(before, x.detach(), across, compared, 0.3, update)
    expected = {
        "visible": mean_cross_entropy(x, before, labels, of_visible, *sides["visible"]),
        "infrared": mean_cross_entropy(x, before, labels, of_infrared, *sides["infrared"]),
        "cross": 0.5 * mean_cross_entropy(x, before, across, compared, *sides[side]),
    }
    terms = dict(expected)
    if gradient == "released":  # old logits, new centroids
        chosen, (first, end) = (of_infrared if side == "infrared" else of_visible), sides[side]
        residual = (x[chosen].detach() @ before[first:end].T / TAU).softmax(1)
        residual[range(len(chosen)), labels[chosen] - first] -= 1
        terms[side] = (residual / TAU * (x[chosen] @ crossed[first:end].T)).sum() / len(chosen)
    (wanted,) = torch.autograd.grad(sum(terms.values()), rows["features_bn"])

    values = loss(**rows)
    assert list(values) == ["visible", "infrared", "cross"]
    for name, value in values.items():
        torch.testing.assert_close(value, expected[name])
    torch.stack(list(values.values())).sum().backward()
    torch.testing.assert_close(rows["features_bn"].grad, wanted)
    torch.testing.assert_close(loss.memory.centroids, updated(crossed, x.detach(), labels, range(17), 0.3, update))


def test_the_released_gradient_differs_from_the_exact_one():
    gradients = []
    for gradient in ("exact", "released"):
        loss, rows = started(AlternateCrossContrast(gradient=gradient)), batch()
        torch.stack(list(loss(**rows).values())).sum().backward()
        gradients.append(rows["features_bn"].grad)
    torch.testing.assert_close(gradients[0][:12], gradients[1][:12])  # the visible centroids did not change before
    assert (gradients[0][12:] - gradients[1][12:]).norm() > 0.05 * gradients[0][12:].norm()


def test_matched_clusters_are_reported():
    loss = started(AlternateCrossContrast())
    assert loss.epoch_report == {"matched_clusters": VISIBLE + INFRARED, "one_to_one": min(VISIBLE, INFRARED)}
