"""Against the embedded server, and with VIREID_MILVUS_URI set (and VIREID_MILVUS_TOKEN) against that one, too."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import uuid
from types import SimpleNamespace

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.retrieval import Milvus
from vireid.retrieval.index.milvus import CLUSTER, EMBEDDED

URI = os.environ.get("VIREID_MILVUS_URI", "")
ADDRESSES = [
    "embedded",
    pytest.param("server", marks=pytest.mark.skipif(not URI, reason="VIREID_MILVUS_URI names no server")),
]


@pytest.fixture(params=ADDRESSES)
def make(request, tmp_path):
    """Indexes of one collection of its own; the collection is dropped afterwards."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed: pip install vireid[milvus]")
    address, token = str(tmp_path / "milvus.db"), ""
    if request.param == "embedded":
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: pip install vireid[milvus]")
    else:
        address, token = URI, os.environ.get("VIREID_MILVUS_TOKEN", "")
    collection, made = f"vireid_{uuid.uuid4().hex[:12]}", []

    def index(**arguments):
        made.append(Milvus(address=address, token=token, collection=collection, **arguments))
        return made[-1]

    yield index
    last = index()
    if last._client.has_collection(collection):
        last._client.drop_collection(collection)
    for each in made:
        each.close()


def test_flat_is_exact(make, sides, truth):
    index = make(index_type="FLAT")
    index.add(sides[1][:1200])
    index.add(sides[1][1200:])
    assert index.exact
    scores, ids = index.search(sides[0], 10)
    np.testing.assert_array_equal(ids, truth)
    np.testing.assert_allclose(scores, np.take_along_axis(sides[0] @ sides[1].T, truth, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("index_type", ["HNSW", "IVF_FLAT"])
def test_approximate_search_finds_most(make, sides, truth, index_type):
    index = make(index_type=index_type, lists=32, search_effort=64)
    index.add(sides[1])
    assert not index.exact
    ids = index.search(sides[0], 10)[1]
    assert np.mean([len(set(a) & set(b)) for a, b in zip(ids, truth)]) > 9


def test_left_out_rows_are_not_found(make, sides):
    index = make(index_type="FLAT")
    index.add(sides[1])
    allowed = np.random.default_rng(0).random(len(sides[1])) < 0.3
    expected = np.argsort(-np.where(allowed, sides[0] @ sides[1].T, -np.inf), axis=1)[:, :5]
    np.testing.assert_array_equal(index.search(sides[0], 5, allowed)[1], expected)
    scores, ids = index.search(sides[0], 5, np.zeros(len(sides[1]), bool))
    assert (ids == -1).all()
    assert (scores == -np.inf).all()


def test_a_collection_is_gone_on_with(make, sides, truth):
    first = make(index_type="FLAT")
    first.add(sides[1][:1200])
    second = make(index_type="FLAT")
    assert len(second) == 1200
    second.add(sides[1][1200:])
    np.testing.assert_array_equal(second.search(sides[0], 10)[1], truth)
    with pytest.raises(UserError, match="but the index holds embeddings of width 32"):
        make().add(sides[1][:, :16])


def test_the_file_says_where_the_vectors_are(make, sides, tmp_path):
    index = make(index_type="FLAT")
    index.add(sides[1][:100])
    index.save(tmp_path / "index.bin")
    make().load(tmp_path / "index.bin")
    with pytest.raises(DataError, match=r"100 embeddings in .*build it again"):
        Milvus(address=str(tmp_path / "other.db")).load(tmp_path / "index.bin")


KILLED = """
    import os, signal
    import numpy as np
    from vireid.retrieval import Milvus
    index = Milvus(address={address!r}, token={token!r}, collection={collection!r}, index_type="HNSW")
    rows = np.load({rows!r})
    for start in range(0, len(rows), 250):
        index.add(rows[start : start + 250])
        print(start + 250, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_acknowledged_survives_a_kill(make, sides, truth, tmp_path):
    """The other process is killed after its last acknowledgement, without closing or flushing anything."""
    where = make()
    where.close()
    np.save(tmp_path / "rows.npy", sides[1])
    text = textwrap.dedent(KILLED).format(
        address=where.address, token=where.token, collection=where.collection, rows=str(tmp_path / "rows.npy")
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    assert done.stdout.split()[-1] == "2000"
    index = make()
    assert len(index) == 2000
    ids = index.search(sides[1][:50], 1)[1][:, 0]
    np.testing.assert_array_equal(ids, np.arange(50))


def test_an_index_that_the_embedded_server_does_not_build_is_refused(tmp_path):
    """It would accept the name in silence and search by brute force."""
    for index_type in ("IVF_PQ", "DISKANN", "HNSWW"):
        with pytest.raises(UserError, match=f"index_type '{index_type}' is not one that the embedded Milvus builds"):
            Milvus(address=str(tmp_path / "a.db"), index_type=index_type)
    Milvus(address="http://localhost:19530", index_type="DISKANN")  # nobody is asked yet
    with pytest.raises(UserError, match="did you mean 'DISKANN'"):
        Milvus(address="http://localhost:19530", index_type="DISK_ANN")


def test_the_embedded_server_builds_what_we_allow_and_nothing_else_that_we_know():
    factory = pytest.importorskip("milvus_lite.index.factory", reason="milvus-lite is not installed")
    rows = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)

    def build(index_type):
        params = {"M": 8, "efConstruction": 20, "nlist": 4}
        spec = SimpleNamespace(index_type=index_type, metric_type="IP", build_params=params)
        return factory.build_index_from_spec(spec, rows)

    kinds = {type(build(index_type)) for index_type in EMBEDDED}
    assert len(kinds) == len(EMBEDDED), "two names give one index"
    for index_type in set(CLUSTER) - set(EMBEDDED):
        with pytest.raises((ValueError, NotImplementedError)):
            build(index_type)


def test_impossible_addresses(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"neither a file ending in \.db nor"):
        Milvus(address="gallery")
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(UserError, match=r"pip install vireid\[milvus\]"):
        len(Milvus(address=str(tmp_path / "a.db")))
