from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vireid.losses.graph import CrossModalityGraph


def graph(**more) -> CrossModalityGraph:
    torch.manual_seed(0)
    arguments = {"num_heads": 2, "width": 3, "dropout": 0.0, "num_ids": 4, "feature_dim": 5}
    return CrossModalityGraph(**(arguments | more)).double()


def attend(h: torch.Tensor, source: torch.Tensor, target: torch.Tensor, labels: list[int]) -> torch.Tensor:
    """One head on rows h, by loops; neighbours are the rows of the same label."""
    rows = []
    for i, label in enumerate(labels):
        seen = [j for j, other in enumerate(labels) if other == label]
        scores = torch.stack([F.leaky_relu(h[i] @ source + h[j] @ target, 0.2) for j in seen]).softmax(0)
        rows.append(sum(weight * h[j] for weight, j in zip(scores, seen, strict=True)))
    return torch.stack(rows)


def test_equals_a_loop_over_rows():
    loss, labels = graph(), [2, 0, 2, 1, 0, 0]
    features = torch.randn(6, 5, dtype=torch.float64)
    joined = []
    for head in range(2):
        h = features @ loss.heads.weight[head]
        joined.append(F.elu(attend(h, loss.heads.source[head], loss.heads.target[head], labels)))
    h = torch.cat(joined, dim=1) @ loss.out.weight[0]
    scores = F.elu(attend(h, loss.out.source[0], loss.out.target[0], labels))
    expected = -sum(row.log_softmax(0)[label] for row, label in zip(scores, labels, strict=True)) / 6
    torch.testing.assert_close(loss(features, torch.tensor(labels)), expected)


def test_a_person_seen_once_looks_at_itself_only():
    loss, features = graph(), torch.randn(3, 5, dtype=torch.float64)
    together, alone = loss.scores(features, torch.tensor([0, 1, 1])), loss.scores(features[:1], torch.tensor([0]))
    torch.testing.assert_close(together[:1], alone)


def test_released_size_and_dropout():
    """4 heads 2048 -> 512 and one layer 2048 -> 395, two vectors each."""
    loss = CrossModalityGraph(num_ids=395, feature_dim=2048)
    assert sum(p.numel() for p in loss.parameters()) == 4 * (2048 * 512 + 1024) + 2048 * 395 + 790
    assert {loss.dropout.p, loss.heads.dropout.p, loss.out.dropout.p} == {0.2}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"num_heads": 0}, "num_heads and width"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"slope": -0.5}, "slope must be at least 0, got -0.5"),
    ],
)
def test_arguments_are_checked(wrong, text):
    with pytest.raises(ValueError, match=text):
        graph(**wrong)
