"""Smallest and extreme inputs for every registered index, re-ranker and similarity."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import vireid.retrieval  # noqa: F401  fills the registries
from vireid.core.errors import DataError, UserError
from vireid.core.interfaces import TrainedIndex
from vireid.core.registries import INDEXES, RERANKERS
from vireid.core.types import EmbeddingTable
from vireid.evaluation import Evaluator, RegDBProtocol
from vireid.evaluation.indexed import IndexedSimilarity
from vireid.retrieval import DatabaseAugmentation, QueryExpansion, Similarity
from vireid.testing import build_example

PACKAGES = {"Milvus": "milvus_lite", "TorchExact": "torch"}  # all others: faiss
WIDTHS = (1, 2, 3, 13, 64)
NUMBERS = (1, 2, 3, 15, 16, 17, 40, 623, 625)


def unit(rng, number, width):
    rows = rng.standard_normal((number, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=INDEXES.names())
def make(request, tmp_path):
    """New indexes with the arguments of the constructor, or with those of the example."""
    pytest.importorskip(PACKAGES.get(request.param, "faiss"), reason=f"{request.param} needs a package that is absent")
    target, made = INDEXES.get(request.param).target, []

    def new(*, example=False):
        made.append(None)
        place = {"address": str(tmp_path / f"{len(made)}.db")} if request.param == "Milvus" else {}
        return build_example(target, **place) if example else target(**place)

    return new


@pytest.mark.parametrize("width", WIDTHS)
def test_an_index_of_any_size(make, width, capfd):
    """Exact or not, few vectors are found; faiss prints no warning."""
    rng = np.random.default_rng(width)
    for number in NUMBERS:
        rows = unit(rng, number, width)
        index = make()
        index.add(rows)
        scores, ids = index.search(rows[:3], number + 4)
        assert ids.shape == scores.shape == (min(3, number), number + 4)
        assert (ids[:, number:] == -1).all()
        if number < 40:
            assert (np.sort(ids[:, :number], axis=1) == np.arange(number)).all(), number
            np.testing.assert_allclose(scores[:, 0], np.ones(min(3, number)), atol=1e-5)
        index.add(rows[:1])
        assert len(index) == number + 1
        assert index.search(rows[:1], 1)[1][0, 0] >= 0
        assert index.search(rows[:0], 2)[1].shape == (0, 2)
    captured = capfd.readouterr()
    assert "WARNING" not in captured.out + captured.err


@pytest.mark.parametrize("number", [2, 16, 700])
def test_an_index_of_equal_vectors(make, number, capfd):
    index = make()
    index.add(np.ones((number, 8), np.float32))
    scores, ids = index.search(np.ones((2, 8), np.float32), 2)
    assert (ids >= 0).all()
    np.testing.assert_allclose(scores, 1, atol=1e-3)
    assert "WARNING" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("form", ["float16", "float64", "columns", "reversed", "long", "short", "int"])
def test_an_index_takes_vectors_in_any_form(make, form):
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 5, (20, 8)) * rng.choice([-1, 1], (20, 8))
    forms = {
        "float16": rows.astype(np.float16),
        "float64": rows.astype(np.float64),
        "columns": np.asfortranarray(rows.repeat(2, axis=1).astype(np.float32))[:, ::2],
        "reversed": rows.astype(np.float32)[::-1],
        "long": rows * 1e200,
        "short": rows.astype(np.float32) * np.float32(1e-30),
        "int": rows,
    }
    given = forms[form]
    whole = np.asarray(rows[::-1] if form == "reversed" else rows, np.float64)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    index = make()
    index.add(given)
    scores, ids = index.search(given[:5], 3)
    np.testing.assert_allclose(scores, -np.sort(-(whole[:5] @ whole.T), axis=1)[:, :3], atol=1e-3)
    assert (ids[:, 0] == np.arange(5)).all()


@pytest.mark.parametrize("first", [1, 40, 700])
def test_a_grown_index_finds_what_one_built_at_once_finds(make, first, capfd):
    """Whatever an index learned from its first vectors."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((8, 16))
    rows = np.repeat(rng.standard_normal((525, 8)), 4, axis=0) @ base + 0.4 * rng.standard_normal((2100, 16))
    rows[:first] += 2 * base[0]  # other images than the rest
    grown, once = make(example=True), make(example=True)
    once.add(rows)
    grown.add(rows[:first])
    for start in range(first, len(rows), 700):
        grown.search(rows[:1], 1)
        grown.add(rows[start : start + 700])
    norm = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    truth = np.argsort(-(norm[::20] @ norm.T), axis=1)[:, :10]
    recall = [
        np.mean([len(set(a) & set(b)) / 10 for a, b in zip(index.search(rows[::20], 10)[1], truth)])
        for index in (grown, once)
    ]
    assert len(grown) == len(rows)
    assert recall[0] > recall[1] - 0.05
    assert "WARNING" not in "".join(capfd.readouterr())
    if isinstance(grown, TrainedIndex):
        assert not grown.outgrown(len(rows))


def test_an_empty_index_is_not_saved(make, tmp_path):
    if "Milvus" in type(make()).__name__:
        make().save(tmp_path / "index.bin")  # only the address: the server stores the embeddings
        assert json.loads((tmp_path / "index.bin").read_text())["rows"] == 0
        return
    with pytest.raises(UserError, match="the index is empty: add embeddings before saving it"):
        make().save(tmp_path / "index.bin")


@pytest.mark.parametrize("queries", [1, 2, 3])
@pytest.mark.parametrize("gallery", [1, 2, 3])
@pytest.mark.parametrize("kind", ["plain", "equal", "double"])
def test_an_evaluation_by_an_index_of_few_images(make, queries, gallery, kind):
    rng = np.random.default_rng(0)
    rows = unit(rng, queries + gallery, 5)
    rows = np.full_like(rows, 5**-0.5) if kind == "equal" else rows
    rows = rows.astype(np.float64) if kind == "double" else rows
    score = IndexedSimilarity(make, exact=Similarity())
    np.testing.assert_allclose(score(rows[:queries], rows[queries:]), rows[:queries] @ rows[queries:].T, atol=1e-5)
    assert score.recall in (None, 1.0)
    assert score.description
    with pytest.raises(DataError, match="row 0 is zero"):
        score(0 * rows[:queries], rows[queries:])


def test_the_evaluator_with_one_query_and_one_image(make):
    table = EmbeddingTable(np.eye(2, dtype=np.float32) + 0.1, np.array([3, 3]), np.array([1, 2]), np.array([0, 1]))
    report = Evaluator(RegDBProtocol(), similarity=Similarity(), index=make, ranks=(1,))(table)
    assert report.mean.rank(1) == 1.0
    assert "search" in report.conditions


RERANKS = {
    **{name: RERANKERS.get(name).target for name in RERANKERS.names()},
    "all": lambda: DatabaseAugmentation(then=QueryExpansion(then=RERANKERS.get("RandomWalk").target())),
    "codes of the changed": lambda: DatabaseAugmentation(then=RERANKERS.get("KReciprocal").target(k2=1)),
    "queries only": lambda: RERANKERS.get("KReciprocal").target(neighbors="queries"),
    "half": lambda: RERANKERS.get("KReciprocal").target(half=("distances", "weights")),
}
SHAPES = [(queries, gallery) for queries in (0, 1, 2, 3) for gallery in (1, 2, 3)]


@pytest.fixture(params=list(RERANKS))
def rerank(request):
    return RERANKS[request.param]()


@pytest.mark.parametrize(("queries", "gallery"), SHAPES)
def test_a_reranker_of_few_images(rerank, queries, gallery):
    """Finite, of the right shape; equal images get equal scores; no warning of numpy."""
    rng = np.random.default_rng(gallery)
    plain = unit(rng, queries + gallery, 5)
    zero = plain.copy()
    zero[[0, -1]] = 0
    opposite = plain.copy()
    opposite[queries:] = -plain[0]
    forms = {
        "plain": plain,
        "width 1": unit(rng, queries + gallery, 1),
        "equal": np.ones_like(plain),
        "zero": zero,
        "all zero": np.zeros_like(plain),
        "opposite": opposite,
        "float16": plain.astype(np.float16),
        "float64": plain.astype(np.float64),
        "columns": np.asfortranarray(plain.repeat(2, axis=1))[:, ::2],
        "short": plain * np.float32(1e-30),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = {name: rerank(rows[:queries], rows[queries:]) for name, rows in forms.items()}
    for name, found in scores.items():
        assert found.shape == (queries, gallery), name
        assert np.isfinite(found).all(), name
        assert found.dtype == (np.float64 if name == "float64" else np.float32)
    for name in ("equal", "all zero") if not getattr(rerank, "then", None) else ():  # the first step rounds
        assert (np.ptp(scores[name], axis=1) < 1e-5).all(), name
    np.testing.assert_allclose(scores["columns"], scores["plain"], atol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_a_reranker_of_directions_or_relative_distances_ignores_the_scale(rerank, scale):
    """Squares of such entries leave the range of float32. The walk's softmax depends on the scale."""
    rng = np.random.default_rng(0)
    rows = unit(rng, 30, 6)
    if "random walk" in rerank.description:
        if scale < 1:
            assert np.isfinite(rerank(rows[:5] * np.float32(scale), rows[5:] * np.float32(scale))).all()
        elif "augmentation" not in rerank.description:
            with pytest.raises(DataError, match=r"too long for a softmax .* L2-normalize them"):
                rerank(rows[:5], rows[5:] * np.float32(scale))
        return
    scaled = rows * np.float32(scale)
    tolerance = 2e-2 if "half" in rerank.description else 1e-4
    np.testing.assert_allclose(rerank(scaled[:5], scaled[5:]), rerank(rows[:5], rows[5:]), atol=tolerance)


@pytest.mark.parametrize("arguments", [{}, {"metric": "euclidean"}, {"backend": "faiss"}], ids=str)
@pytest.mark.parametrize("form", ["plain", "float16", "float64", "columns", "equal"])
def test_a_similarity_of_few_images(arguments, form):
    if arguments.get("backend") == "faiss":
        pytest.importorskip("faiss", reason="faiss is not installed")
    score = Similarity(**arguments)
    for queries in (0, 1, 2, 3):
        for gallery in (1, 2, 3):
            rows = unit(np.random.default_rng(0), queries + gallery, 4)
            rows = np.full_like(rows, 0.5) if form == "equal" else rows
            given = rows.astype(form) if form.startswith("float") else rows
            given = np.asfortranarray(rows.repeat(2, axis=1))[:, ::2] if form == "columns" else given
            scores = score(given[:queries], given[queries:])
            assert scores.dtype == np.float32
            np.testing.assert_allclose(scores, rows[:queries] @ rows[queries:].T, atol=2e-3, err_msg=f"{queries}")
