from __future__ import annotations

import math

import pytest
import torch

from vireid.layers.graph import GraphAttention

N, D, F = 5, 3, 4


def layer(heads: int = 2, **more) -> GraphAttention:
    torch.manual_seed(0)
    return GraphAttention(D, F, heads=heads, **({"dropout": 0.0} | more)).double()


def test_equals_a_loop_over_pairs():
    module, rows = layer(slope=0.3), torch.randn(N, D, dtype=torch.float64)
    adjacent = (torch.rand(N, N) < 0.5) | torch.eye(N, dtype=torch.bool)
    result = module(rows, adjacent)
    assert result.shape == (N, 2, F)
    for head in range(2):
        h = rows @ module.weight[head]
        for i in range(N):
            seen = [j for j in range(N) if adjacent[i, j]]
            scores = []
            for j in seen:
                score = torch.cat([h[i], h[j]]) @ torch.cat([module.source[head], module.target[head]])
                scores.append(score if score > 0 else 0.3 * score)
            weights = torch.stack(scores).softmax(0)
            expected = sum(weight * h[j] for weight, j in zip(weights, seen, strict=True))
            torch.testing.assert_close(result[i, head], expected)


def test_rows_that_are_not_adjacent_do_not_count():
    module, adjacent = layer(), torch.block_diag(torch.ones(2, 2), torch.ones(3, 3)).bool()
    rows = torch.randn(N, D, dtype=torch.float64)
    changed = rows.clone()
    changed[2:] += 1
    torch.testing.assert_close(module(rows, adjacent)[:2], module(changed, adjacent)[:2])


def test_dropout_in_training_only():
    module, rows, adjacent = layer(dropout=0.5), torch.randn(N, D, dtype=torch.float64), torch.ones(N, N).bool()
    module.train()
    assert not torch.equal(module(rows, adjacent), module(rows, adjacent))
    module.eval()
    assert torch.equal(module(rows, adjacent), module(rows, adjacent))


@pytest.mark.parametrize(("name", "fan"), [("weight", 30 + 50), ("source", 2 * 50 + 1), ("target", 2 * 50 + 1)])
def test_released_initial_values(name, fan):
    values = GraphAttention(30, 50, heads=4).get_parameter(name).detach().abs()
    bound = 1.414 * math.sqrt(6 / fan)
    assert 0.95 * bound < float(values.max()) <= bound
