"""Trained indexes: when they are trained, trained again, and what their files record."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from vireid.core.errors import DataError
from vireid.retrieval import FaissFlat, FaissHNSW, FaissIVF, FaissIVFPQ, FaissIVFRefined
from vireid.retrieval.index import faiss_base

pytest.importorskip("faiss", reason="faiss is not installed")
TRAINED = [FaissIVF, lambda: FaissIVFPQ(code_bytes=8), lambda: FaissIVFRefined(code_bytes=8)]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.standard_normal((300, 32))[rng.integers(0, 300, 3000)] + 0.4 * rng.standard_normal((3000, 32))


@pytest.mark.parametrize("make", TRAINED)
def test_training_is_repeated_at_a_quarter_more_vectors(make, rows):
    index = make()
    assert (index.trained_on, len(index)) == (0, 0)
    for number, trained_on in [(1300, 1300), (1500, 1300), (1625, 1300), (1626, 1626), (2500, 2500)]:
        index.add(rows[len(index) : number])
        index.search(rows[:1], 1)
        assert (index.trained_on, len(index)) == (trained_on, number)
    assert index.limit == 3125


def test_finer_codes_are_a_reason_as_well(rows):
    index = FaissIVFPQ(code_bytes=8)
    index.add(rows[:1240])
    index.search(rows[:1], 1)
    assert index.limit == 1247, "1,248 vectors train codes of five bits"
    index.add(rows[1240:1248])
    index.search(rows[:1], 1)
    assert index.trained_on == 1248


@pytest.mark.parametrize("make", TRAINED)
def test_few_vectors_are_compared_whole_and_named_so(make, rows):
    index = make()
    index.add(rows[: index.least - 1])
    ids = index.search(rows[:50], 5)[1]
    norm = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.argsort(-(norm[:50] @ norm[: index.least - 1].T), axis=1)[:, :5]
    np.testing.assert_array_equal(ids, expected)
    assert index.exact
    assert index.description.endswith(f", exact below {index.least} vectors")
    index.add(rows[index.least - 1 : index.least])
    index.search(rows[:1], 1)
    assert (index.exact, index.trained_on) == (False, index.least)
    assert "exact" not in index.description


@pytest.mark.parametrize("make", [FaissFlat, FaissHNSW])
def test_other_indexes_are_never_outgrown(make, rows):
    index = make()
    index.add(rows[:10])
    index.search(rows[:1], 1)
    assert (index.trained_on, index.limit, index.outgrown(10**9)) == (0, None, False)


@pytest.mark.parametrize("make", TRAINED)
@pytest.mark.parametrize("number", [40, 1000])
def test_a_file_records_the_training(tmp_path, make, rows, number):
    index, again = make(), make()
    index.add(rows[:number])
    index.save(tmp_path / "index.bin")
    again.load(tmp_path / "index.bin")
    assert (again.trained_on, again.description, again.exact) == (index.trained_on, index.description, index.exact)
    for one, other in zip(again.search(rows[:20], 5), index.search(rows[:20], 5)):
        np.testing.assert_array_equal(one, other)
    if index.keeps_vectors or number == 40:
        again.add(rows[number:])
        again.search(rows[:1], 1)
        assert again.trained_on == len(rows), "trained again on the vectors of the file and the new ones"


def test_codes_of_a_file_cannot_be_trained_again_which_is_reported_once(tmp_path, rows, caplog):
    index, again = (FaissIVFPQ(code_bytes=8) for _ in range(2))
    index.add(rows[:1000])
    index.save(tmp_path / "index.bin")
    again.load(tmp_path / "index.bin")
    again.add(rows[1000:])
    with caplog.at_level(logging.WARNING):
        again.search(rows[:1], 1)
        again.search(rows[:1], 1)
    (line,) = caplog.records
    assert "holds 3000 embeddings and was trained on 1000" in line.getMessage()


def test_memory_of_an_index_of_codes_is_bounded(monkeypatch, rows):
    """It keeps raw vectors only as long as they improve its training."""
    monkeypatch.setattr(faiss_base, "KEPT", 2000)
    index = FaissIVFPQ(code_bytes=8)
    index.add(rows[:700])
    index.search(rows[:1], 1)
    kept = []
    for start in range(700, 3000, 100):
        index.add(rows[start : start + 100])
        kept.append(0 if index._raw is None else sum(map(len, index._raw)))
    assert max(kept) < 2000
    assert kept[-1] == 0
    assert index.trained_on == 2000


def test_files_of_earlier_versions_and_of_other_kinds(tmp_path, rows):
    import faiss

    index, again = FaissIVF(), FaissIVF()
    index.add(rows[:1000])
    (tmp_path / "old.bin").write_bytes(faiss.serialize_index(index.built()).tobytes())
    again.load(tmp_path / "old.bin")
    assert (again.trained_on, again.outgrown(1)) == (None, True)
    again.search(rows[:1], 1)
    assert again.trained_on == 1000, "trained again on its vectors: how many it was trained on is not known"
    index.save(tmp_path / "index.bin")
    with pytest.raises(DataError, match="holds an index of the kind FaissIVF, not FaissHNSW"):
        FaissHNSW().load(tmp_path / "index.bin")
