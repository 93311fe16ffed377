from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.retrieval import TorchExact
from vireid.retrieval.index import torch_exact


def test_equals_a_sort_in_any_number_of_blocks(monkeypatch, sides, truth):
    for block in (1 << 20, 4 * 40 * 4 * 17):  # all at once; 17 gallery rows at a time
        monkeypatch.setattr(torch_exact, "MIB", block)
        index = TorchExact(memory_mb=1, device="cpu")
        index.add(sides[1])
        scores, ids = index.search(sides[0], 10)
        np.testing.assert_array_equal(ids, truth)
        np.testing.assert_allclose(scores, np.take_along_axis(sides[0] @ sides[1].T, truth, 1), atol=1e-6)


def test_equal_scores_are_ordered_by_id_across_blocks(monkeypatch):
    monkeypatch.setattr(torch_exact, "MIB", 1)  # blocks of k rows
    gallery = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)[np.random.default_rng(0).permutation(60)]
    index = TorchExact(device="cpu")
    index.add(gallery)
    scores, ids = index.search(np.eye(3, dtype=np.float32), 25)
    expected = np.argsort(-(np.eye(3) @ gallery.T), axis=1, kind="stable")[:, :25]
    np.testing.assert_array_equal(ids, expected)
    assert (scores[:, :20] == 1).all()


def test_left_out_rows_are_not_found(sides):
    index = TorchExact(device="cpu")
    index.add(sides[1])
    allowed = np.random.default_rng(0).random(len(sides[1])) < 0.3
    expected = np.where(allowed, sides[0] @ sides[1].T, -np.inf)
    np.testing.assert_array_equal(index.search(sides[0], 7, allowed)[1], np.argsort(-expected, axis=1)[:, :7])


def test_goes_on_after_a_file(tmp_path, sides, truth):
    index, again = TorchExact(device="cpu"), TorchExact(device="cpu")
    index.add(sides[1][:1200])
    index.save(tmp_path / "index.bin")
    again.load(tmp_path / "index.bin")
    again.add(sides[1][1200:])
    np.testing.assert_array_equal(again.search(sides[0], 10)[1], truth)


def test_impossible_arguments(tmp_path):
    with pytest.raises(UserError, match="memory_mb must be at least 1, got 0"):
        TorchExact(memory_mb=0)
    (tmp_path / "index.bin").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"index\.bin cannot be read as an index .* build it again"):
        TorchExact().load(tmp_path / "index.bin")
