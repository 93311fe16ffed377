from __future__ import annotations

import torch

from vireid.layers.pairing import follow, partners, ranks

LABELS = torch.tensor([7, 3, 7, 3, 7, 3, 7, 3, 3])
FIRST = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=torch.bool)
SECOND = ~FIRST
INDEX = torch.tensor([40, 12, 31, 10, 90, 80, 70, 95, 81])


def by_loop(labels, first, second, index):
    pairs = torch.zeros(len(labels), len(labels), dtype=torch.bool)
    for identity in set(labels.tolist()):
        sides = [
            sorted((int(index[i]), i) for i in range(len(labels)) if side[i] and labels[i] == identity)
            for side in (first, second)
        ]
        for (_, i), (_, j) in zip(*sides):
            pairs[i, j] = True
    return pairs


def test_ranks_count_within_groups():
    same = LABELS[:, None] == LABELS
    assert ranks(same, INDEX).tolist() == [1, 1, 0, 0, 3, 2, 2, 4, 3]
    assert ranks(same, torch.zeros(9)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]


def test_pairs_equal_the_loop_and_follow_the_rows():
    pairs = partners(FIRST, SECOND, LABELS, INDEX)
    assert torch.equal(pairs, by_loop(LABELS, FIRST, SECOND, INDEX))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(partners(FIRST[order], SECOND[order], LABELS[order], INDEX[order]), pairs[order][:, order])


def test_an_identity_that_one_side_lacks_has_no_pair():
    pairs = partners(FIRST, SECOND & (LABELS != 7), LABELS, INDEX)
    assert pairs.any(dim=1).tolist() == [False, True, False, True, *[False] * 5]


def test_values_of_partners():
    values = torch.arange(18.0).view(9, 2)
    pairs = partners(FIRST, SECOND, LABELS, INDEX)
    for row, followed in enumerate(follow(pairs, values)):
        expected = values[pairs[row]][0] if pairs[row].any() else torch.zeros(2)
        assert torch.equal(followed, expected)
