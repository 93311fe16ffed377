from __future__ import annotations

import pytest
import torch

from vireid.layers.jigsaw import jigsaw_groups, shuffle_patches

NUMBERS = [7, 128, 129, 210, 211]


def released_shuffle(tokens: list[float], shift: int = 5, groups: int = 2) -> list[float]:
    """The order of the released code, token by token; `tokens` begins with the class token."""
    order = [tokens[i] for i in range(shift, len(tokens))] + [tokens[i] for i in range(1, shift)]
    if len(order) % groups:
        order.append(order[-2])
    run = len(order) // groups
    return [order[group * run + i] for i in range(run) for group in range(groups)]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_shuffle_is_that_of_the_release(number):
    tokens = torch.randn(2, 1 + number, 3, generator=torch.Generator().manual_seed(number))
    got = shuffle_patches(tokens[:, 1:])
    for row in range(2):
        for column in range(3):
            assert got[row, :, column].tolist() == released_shuffle(tokens[row, :, column].tolist())
    assert got.shape[1] == number + number % 2


@pytest.mark.parametrize(("number", "shift", "groups"), [(12, 1, 3), (11, 4, 3), (8, 9, 2)])
def test_other_shifts_and_numbers_of_groups(number, shift, groups):
    tokens = torch.arange(1.0 + number)
    got = shuffle_patches(tokens[1:].view(1, -1, 1), shift=shift, groups=groups)
    assert got.flatten().tolist() == released_shuffle(tokens.tolist(), shift, groups)


def test_too_many_missing_tokens():
    with pytest.raises(ValueError, match="10 tokens cannot be divided into 3 groups with one appended token"):
        shuffle_patches(torch.zeros(1, 10, 1), groups=3)


@pytest.mark.parametrize("rearrange", [True, False])
@pytest.mark.parametrize("prefix", [1, 3])
@pytest.mark.parametrize("number", [*NUMBERS, 4])
def test_groups_are_consecutive_runs_behind_the_class_token(number, prefix, rearrange):
    tokens = torch.randn(2, prefix + number, 3, generator=torch.Generator().manual_seed(number))
    got = jigsaw_groups(tokens, prefix=prefix, parts=4, rearrange=rearrange)
    patches = tokens[:, prefix:]
    ordered = shuffle_patches(patches) if rearrange else patches
    run = number // 4
    assert got.shape == (2, 4, 1 + run, 3)
    for part in range(4):
        expected = torch.cat([tokens[:, :1], ordered[:, part * run : (part + 1) * run]], dim=1)
        assert torch.equal(got[:, part], expected)
