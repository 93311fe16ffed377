"""Shared fixtures. One thread, so that results do not depend on the machine; no clock in any assertion."""

from __future__ import annotations

import hypothesis
import pytest
import torch

from vireid.core.types import Batch, Facts
from vireid.testing import TINY, tiny_batch

torch.set_num_threads(1)
hypothesis.settings.register_profile("vireid", deadline=None, max_examples=40, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("vireid")


@pytest.fixture
def batch() -> Batch:
    """24 rows: 4 identities, 3 images in each modality, shuffled."""
    return tiny_batch()


@pytest.fixture
def facts() -> Facts:
    return TINY
