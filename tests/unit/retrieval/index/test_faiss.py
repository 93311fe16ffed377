from __future__ import annotations

import logging

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.retrieval import FaissFlat, FaissHNSW, FaissIVF, FaissIVFPQ, FaissIVFRefined, TorchExact
from vireid.retrieval.index import faiss_base, faiss_gpu
from vireid.retrieval.index.faiss_backends import lists_for

faiss = pytest.importorskip("faiss", reason="faiss is not installed")

APPROXIMATE = {
    "lists": lambda: FaissIVF(probes=16),
    "graph": lambda: FaissHNSW(links=16, search_effort=64),
    "codes": lambda: FaissIVFPQ(code_bytes=32, rotation="none", probes=32),
    "codes of principal directions": lambda: FaissIVFPQ(code_bytes=32, probes=32),
    "codes of fewer directions": lambda: FaissIVFPQ(code_bytes=24, probes=32, directions=24),
    "codes of learned directions": lambda: FaissIVFPQ(code_bytes=8, probes=32, rotation="opq"),
    "refined": lambda: FaissIVFRefined(code_bytes=8, probes=32),
}


def recall(ids, truth):
    return np.mean([len(set(found) & set(right)) / len(right) for found, right in zip(ids, truth)])


def test_flat_is_exact(sides, truth):
    index = FaissFlat()
    index.add(sides[1])
    np.testing.assert_array_equal(index.search(sides[0], 10)[1], truth)


@pytest.mark.parametrize("make", APPROXIMATE.values(), ids=list(APPROXIMATE))
def test_approximate_search_finds_most_and_repeats(tmp_path, sides, truth, make):
    index, same, again = make(), make(), make()
    for built in (index, same):
        built.add(sides[1][:1000])
        built.add(sides[1][1000:])
    ids = index.search(sides[0], 10)[1]
    assert not index.exact
    assert recall(ids, truth) > 0.75
    np.testing.assert_array_equal(same.search(sides[0], 10)[1], ids)
    index.save(tmp_path / "index.bin")
    again.load(tmp_path / "index.bin")
    assert len(again) == 2000
    np.testing.assert_array_equal(again.search(sides[0], 10)[1], ids)
    again.add(sides[0])
    assert again.search(sides[0], 1)[1][:, 0].min() >= 0
    assert len(again) == 2040


def test_refined_probes_a_fifth_of_the_lists(sides):
    automatic, same, more = (FaissIVFRefined(lists=50, probes=probes) for probes in (0, 10, 20))
    for index in (automatic, same, more):
        index.add(sides[1])
    ids = automatic.search(sides[0], 10)[1]
    np.testing.assert_array_equal(ids, same.search(sides[0], 10)[1])
    assert (ids != more.search(sides[0], 10)[1]).any()


def test_scores_of_codes_are_about_the_cosines(sides):
    index = FaissIVFPQ(code_bytes=16, probes=32)
    index.add(sides[1])
    scores, ids = index.search(sides[0], 5)
    cosines = (sides[0][:, None] * sides[1][ids]).sum(-1)
    assert np.abs(scores - cosines).mean() < 0.1


def test_all_lists_make_the_search_exact(sides, truth):
    index = FaissIVF(lists=20, probes=20)
    index.add(sides[1])
    np.testing.assert_array_equal(index.search(sides[0], 10)[1], truth)


@pytest.mark.parametrize(
    "make",
    [FaissFlat, FaissIVF, FaissHNSW, lambda: FaissIVFPQ(code_bytes=32, rotation="none", probes=32), FaissIVFRefined],
    ids=["flat", "lists", "graph", "codes", "refined"],
)
def test_left_out_rows_are_not_found(sides, make):
    index = make()
    index.add(sides[1])
    allowed = np.random.default_rng(0).random(len(sides[1])) < 0.2
    ids = index.search(sides[0], 10, allowed)[1]
    expected = np.argsort(-np.where(allowed, sides[0] @ sides[1].T, -np.inf), axis=1)[:, :10]
    assert allowed[ids[ids >= 0]].all()
    assert recall(ids, expected) > 0.9


def test_codes_are_small(tmp_path, sides):
    sizes = {}
    for name, index in (("whole", FaissFlat()), ("codes", FaissIVFPQ(code_bytes=8, lists=4))):
        index.add(sides[1][:1500])
        index.save(tmp_path / name)
        sizes[name] = (tmp_path / name).stat().st_size
    assert sizes["whole"] > 2 * sizes["codes"]


def test_a_gpu_on_which_faiss_does_not_work_is_reported_once(monkeypatch, caplog, sides, truth):
    def fault():
        raise faiss_gpu.FaissGpuError("no kernel image is available for execution on the device")

    monkeypatch.setattr(faiss_base, "gpu_resources", fault)
    with caplog.at_level(logging.WARNING):
        index = FaissIVF()
        index.add(sides[1])
        np.testing.assert_array_equal(index.search(sides[0], 10)[1], truth)
    (line,) = caplog.records
    assert line.getMessage() == (
        "faiss does not work on this GPU (no kernel image is available for execution on the device):"
        " TorchExact searches instead"
    )
    assert (len(index), index.exact, index.description) == (2000, True, TorchExact().description)


class _Nonsense:
    """A faiss whose GPU returns wrong results."""

    StandardGpuResources = object
    IndexFlatIP = staticmethod(lambda width: None)

    class index_cpu_to_gpu:
        def __init__(self, *arguments):
            pass

        def add(self, rows):
            pass

        def search(self, rows, k):
            return np.zeros((len(rows), k)), np.zeros((len(rows), k), int)


@pytest.mark.parametrize(
    ("module", "text"),
    [(_Nonsense, "a search with a known result returned another one"), (type("Bare", (), {}), "StandardGpuResources")],
)
def test_the_self_test_compares_results(monkeypatch, module, text):
    faiss_gpu._probed.cache_clear()
    monkeypatch.setattr(faiss_gpu, "import_faiss", lambda: module)
    monkeypatch.setattr(faiss_gpu.torch.cuda, "is_available", lambda: True)
    with pytest.raises(faiss_gpu.FaissGpuError, match=text):
        faiss_gpu.gpu_resources()
    faiss_gpu._probed.cache_clear()


def test_lists_follow_the_size():
    assert [lists_for(n, 0) for n in (10, 1000, 10_000, 1_000_000)] == [1, 25, 256, 4000]
    assert lists_for(1000, 300) == 25


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FaissIVF(probes=0), "probes must be at least 1, got 0"),
        (lambda: FaissHNSW(links=1), "links must be at least 2, got 1"),
        (lambda: FaissIVFPQ(code_bytes=0), "code_bytes must be at least 1, got 0"),
        (lambda: FaissIVFPQ(rotation="none", directions=8), "directions needs a rotation: leave it out"),
        (lambda: FaissIVFPQ(rotation="pca"), "rotation: 'pca' is not one of"),
    ],
)
def test_impossible_arguments(make, text):
    with pytest.raises(UserError, match=text):
        make()


def test_codes_must_divide_the_width(sides):
    index = FaissIVFPQ(code_bytes=5, rotation="none")
    with pytest.raises(UserError, match="code_bytes 5 does not divide the width 32"):
        index.add(sides[1])


def test_without_faiss_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu, or use TorchExact"):
        FaissFlat()
