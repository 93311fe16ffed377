"""Random generators seeded by a tuple of numbers, so that a resumed run repeats the uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(*key: int) -> int:
    """Derive a 63-bit seed from any number of non-negative integers; their order matters.

    Example:
        >>> derive(0, 1) == derive(0, 1), derive(0, 1) == derive(1, 0), derive(0, 1) == derive(0, 1, 0)
        (True, False, False)
    """
    low, high = _sequence(*key).generate_state(2)
    return int(low) | (int(high) & 0x7FFFFFFF) << 32


def torch_generator(*key: int) -> torch.Generator:
    """Create a CPU generator seeded by the key, such as (seed, epoch, step, rank)."""
    return torch.Generator().manual_seed(derive(*key))


def numpy_generator(*key: int) -> np.random.Generator:
    """Create a NumPy generator seeded by the key."""
    return np.random.default_rng(_sequence(*key))


def numpy_generator_from(generator: torch.Generator) -> np.random.Generator:
    """Create a NumPy generator seeded by one draw, for distributions that torch draws without a generator."""
    return np.random.default_rng(int(torch.randint(2**63 - 1, (1,), generator=generator)))


def _sequence(*key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence((len(key), *key))  # with the length, because SeedSequence ignores trailing zeros


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Run a block with torch's global generators seeded by the key; restore their state afterwards.

    Dropout draws from the global generator. Seeding it makes a training step a function of its key.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(*key))
        yield
