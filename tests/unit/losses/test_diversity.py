from __future__ import annotations

import pytest
import torch

from vireid.core.types import Batch, ModelOutput, Progress
from vireid.losses.diversity import CenterPairMining, OrthogonalBranches
from vireid.losses.objective import Objective, Term


def expanded(identities: int = 3, each: int = 2, branches: int = 2, seed: int = 0):
    """Rows of every identity, modality and branch, shuffled: features, labels, modality, branch, source."""
    generator = torch.Generator().manual_seed(seed)
    images = [(i, m) for i in range(identities) for m in range(2) for _ in range(each)]
    rows = [(i, m, b, s) for b in range(1 + branches) for s, (i, m) in enumerate(images)]
    order = torch.randperm(len(rows), generator=generator)
    columns = torch.tensor(rows)[order].unbind(dim=1)
    return torch.randn(len(rows), 5, generator=generator, dtype=torch.float64), *columns


def mined(features, labels, modality, branch, margin: float) -> torch.Tensor:
    """The release's formula over centres in a dictionary."""
    people = sorted(set(labels.tolist()))

    def center(i, m, b):
        return features[(labels == i) & (modality == m) & (branch == b)].mean(dim=0)

    def d(x, y):
        return (x - y).norm()

    total = torch.zeros((), dtype=features.dtype)
    for b in range(1, int(branch.max()) + 1):
        values = []
        for m in range(2):
            for i in people:
                anchor, home, cross = center(i, m, b), center(i, m, 0), d(center(i, m, b), center(i, 1 - m, 0))
                near = min(d(anchor, center(j, m, b)) for j in people if j != i)
                near_home = min(d(home, center(j, m, 0)) for j in people if j != i)
                hinge = (cross - d(anchor, home).detach() + margin).relu()
                values.append(hinge + ((cross - near + margin).relu() + (cross - near_home + margin).relu()) / 2)
        total = total + torch.stack(values).mean()
    return total


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("margin", [0.2, 2.0])
def test_mining_equals_loops_over_centres(branches, margin):
    features, labels, modality, branch, _ = expanded(branches=branches)
    results = []
    for compute in (CenterPairMining(margin=margin), lambda *rows: mined(*rows, margin)):
        x = features.clone().requires_grad_()
        value = compute(x, labels, modality, branch)
        value.backward()
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(results[0], results[1])


def test_a_centre_without_its_counterpart_is_left_out():
    features, labels, modality, branch, _ = expanded()
    kept = ~((labels == 2) & (modality == 1))
    rows = [each[kept] for each in (features, labels, modality, branch)]
    x = rows[0].clone().requires_grad_()
    value = CenterPairMining()(x, *rows[1:])
    value.backward()
    assert value.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not torch.equal(value.detach(), CenterPairMining()(features, labels, modality, branch))


def test_one_person_is_a_clear_error():
    features, labels, modality, branch, _ = expanded()
    with pytest.raises(ValueError, match="at least two identities"):
        CenterPairMining()(features, labels * 0, modality, branch)


def test_no_branches_is_a_clear_error():
    features, labels, modality, branch, _ = expanded()
    with pytest.raises(ValueError, match="in a branch above 0"):
        CenterPairMining()(features, labels, modality, branch * 0)


def test_the_margin_is_not_negative():
    with pytest.raises(ValueError, match="margin must be at least 0, got -1"):
        CenterPairMining(margin=-1)


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_orthogonality_equals_loops_over_images(branches):
    features, _, _, branch, source = expanded(branches=branches)
    total = torch.zeros((), dtype=torch.float64)
    for image in range(int(source.max()) + 1):
        for a in range(1, branches + 1):
            for b in range(1, a):
                total += features[(source == image) & (branch == a)][0] @ features[(source == image) & (branch == b)][0]
    torch.testing.assert_close(OrthogonalBranches()(features, branch, source), total / len(features))


def test_the_objective_hands_over_source_and_expands_labels():
    """Rows in blocks: image 0 and 1 as they are, branch 1, branch 2. The objective's `source` is the model's."""
    zeros = torch.zeros(2, dtype=torch.long)
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1]), zeros, zeros, zeros, zeros)
    features = torch.randn(6, 4, dtype=torch.float64)
    source, branch = torch.tensor([0, 1] * 3), torch.tensor([0, 0, 1, 1, 2, 2])
    out = ModelOutput({"features": features, "branch": branch}, source)
    objective = Objective({"orthogonal": Term(OrthogonalBranches())}, provided={"features", "branch", "source"})
    total, _ = objective(batch, out, Progress())
    torch.testing.assert_close(total, (features[2] @ features[4] + features[3] @ features[5]) / 6)


def test_source_is_that_of_all_processes_where_rows_were_gathered():
    """Of `values` it counts the rows of one process; `ModelOutput.source` is made for the whole batch."""
    zeros = torch.zeros(4, dtype=torch.long)
    batch = Batch(torch.zeros(4, 3, 4, 4), torch.tensor([0, 1, 2, 3]), zeros, zeros, zeros, zeros)
    features, branch = torch.randn(8, 4, dtype=torch.float64), torch.tensor([1, 1, 2, 2] * 2)
    local, whole = torch.tensor([0, 1, 0, 1] * 2), torch.tensor([0, 1, 0, 1, 2, 3, 2, 3])
    objective = Objective({"orthogonal": Term(OrthogonalBranches())}, provided={"features", "branch", "source"})
    out = ModelOutput({"features": features, "branch": branch, "source": local}, whole)
    total, _ = objective(batch, out, Progress())
    torch.testing.assert_close(total, OrthogonalBranches()(features, branch, whole))
    assert not torch.allclose(total, OrthogonalBranches()(features, branch, local))
