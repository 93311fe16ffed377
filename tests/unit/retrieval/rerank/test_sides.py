"""Re-rankers take lists and tensors, and refuse input that is not a matrix of real numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vireid.core.errors import UserError
from vireid.retrieval.rerank import DatabaseAugmentation, KReciprocal, QueryExpansion, RandomWalk

RERANKERS = [RandomWalk(), KReciprocal(), QueryExpansion(), DatabaseAugmentation()]
FEATURES = np.random.default_rng(0).standard_normal((12, 6)).astype(np.float32)


@pytest.mark.parametrize("rerank", RERANKERS, ids=lambda rerank: type(rerank).__name__)
def test_lists_and_tensors_are_taken(rerank):
    expected = rerank(FEATURES[:4], FEATURES)
    np.testing.assert_array_equal(rerank(torch.from_numpy(FEATURES[:4]), torch.from_numpy(FEATURES)), expected)
    np.testing.assert_allclose(rerank(FEATURES[:4].tolist(), FEATURES.tolist()), expected, atol=1e-5)


@pytest.mark.parametrize("rerank", RERANKERS, ids=lambda rerank: type(rerank).__name__)
@pytest.mark.parametrize("change", [lambda x: x * 1j, lambda x: x > 0, lambda x: x.astype(str), lambda x: x[0]])
def test_what_is_no_matrix_of_real_numbers_is_refused(rerank, change):
    with pytest.raises(UserError, match=r"^queries: (the type is|must be a matrix)"):
        rerank(change(FEATURES), FEATURES)
