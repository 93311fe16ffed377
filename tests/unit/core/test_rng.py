from __future__ import annotations

import numpy as np
import torch

from vireid.core.rng import derive, numpy_generator, seeded, torch_generator


def test_keys_give_seeds_of_63_bits_that_differ():
    keys = [(s, e, t) for s in range(4) for e in range(4) for t in range(4)]
    seeds = {derive(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**60
    assert derive(1, 2) != derive(2, 1)
    assert derive(1) != derive(1, 0) or derive(0, 1) != derive(1)


def test_generators_are_functions_of_the_key():
    for make, draw in (
        (torch_generator, lambda g: torch.rand(3, generator=g)),
        (numpy_generator, lambda g: g.random(3)),
    ):
        first, second, other = draw(make(0, 5)), draw(make(0, 5)), draw(make(0, 6))
        assert np.array_equal(first, second)
        assert not np.array_equal(first, other)


def test_a_seeded_block_repeats_and_leaves_no_trace():
    torch.manual_seed(9)
    expected_after = torch.rand(2)
    torch.manual_seed(9)
    with seeded(1, 2):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected_after)
    with seeded(1, 2):
        assert torch.equal(torch.rand(2), inside)
    with seeded(1, 3):
        assert not torch.equal(torch.rand(2), inside)


def test_the_state_comes_back_after_an_error():
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    try:
        with seeded(0):
            torch.rand(5)
            raise RuntimeError
    except RuntimeError:
        pass
    assert torch.equal(torch.rand(1), expected)
