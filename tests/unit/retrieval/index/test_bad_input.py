"""Every index refuses the same things in the same words."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.registries import INDEXES
from vireid.testing import build_example

PACKAGES = {"Milvus": "milvus_lite", "TorchExact": "torch"}  # all others: faiss


@pytest.fixture(params=INDEXES.names())
def index(request, tmp_path):
    pytest.importorskip(PACKAGES.get(request.param, "faiss"), reason=f"{request.param} needs a package that is absent")
    place = {"address": str(tmp_path / "milvus.db")} if request.param == "Milvus" else {}
    return build_example(INDEXES.get(request.param).target, **place)


def rows(number=60, width=8):
    return np.random.default_rng(0).standard_normal((number, width)).astype(np.float32)


def test_an_empty_gallery(index):
    with pytest.raises(UserError, match="the gallery is empty: add images before searching"):
        index.search(rows(3), 5)


def test_other_widths(index):
    index.add(rows())
    with pytest.raises(UserError, match="queries: the width is 7, but 8 is needed"):
        index.search(rows(3, 7), 5)
    with pytest.raises(UserError, match="gallery: the width is 9, but 8 is needed"):
        index.add(rows(3, 9))
    with pytest.raises(UserError, match="queries: must be a matrix"):
        index.search(rows()[0], 5)


@pytest.mark.parametrize(("value", "fault"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "zero")])
def test_rows_that_cannot_be_compared(index, value, fault):
    bad = rows()
    bad[[4, 9]] = value
    with pytest.raises(DataError, match=rf"gallery: row 4 is {fault} \(2 of 60 rows"):
        index.add(bad)
    assert len(index) == 0
    index.add(rows())
    with pytest.raises(DataError, match=rf"queries: row 4 is {fault}"):
        index.search(bad, 5)


def test_k_and_filters(index):
    index.add(rows())
    with pytest.raises(UserError, match="k must be at least 1, got 0"):
        index.search(rows(2), 0)
    with pytest.raises(UserError, match=r"allowed must be a bool array of shape \(60,\), .* got bool \(3,\)"):
        index.search(rows(2), 5, np.ones(3, bool))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"IxFI" + bytes(40)])
def test_a_file_that_is_no_index(index, tmp_path, content):
    (tmp_path / "index.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"index\.bin cannot be read as an index"):
        index.load(tmp_path / "index.bin")


def test_a_file_that_was_cut(index, tmp_path):
    index.add(rows())
    index.save(tmp_path / "index.bin")
    content = (tmp_path / "index.bin").read_bytes()
    (tmp_path / "index.bin").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"index\.bin cannot be read as an index"):
        index.load(tmp_path / "index.bin")
