"""An index is trained again when its gallery has outgrown the training; additions exclude each other."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.core.interfaces import TrainedIndex
from vireid.core.io import digest
from vireid.core.registries import INDEXES
from vireid.gallery import application
from vireid.gallery.listing import Known, images_of
from vireid.gallery.store import COLUMNS, GalleryStore, Header, Shard

pytest.importorskip("faiss", reason="faiss is not installed")
TRAINED = ["FaissIVF", "FaissIVFPQ", "FaissIVFRefined"]
ARGUMENTS = {"FaissIVFPQ": {"CODE_BYTES": 16}, "FaissIVF": {"PROBES": 6}, "FaissIVFRefined": {"PROBES": 6}}


def test_these_are_the_trained_indexes():
    entries = [INDEXES.get(name) for name in INDEXES.names()]
    assert [e.name for e in entries if getattr(e.target, "least", 0)] == TRAINED


def people(number, rng, base):
    rows = np.repeat(rng.normal(size=(number // 4, 16)), 4, 0) + 0.3 * rng.normal(size=(number, 16))
    rows = rows @ base + 0.1 * rng.normal(size=(number, 64))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def portion(rows, first):
    number = np.arange(first, first + len(rows))
    values = {"path": number.astype(str), "time": number, "identity": number, "camera": number, "modality": number * 0}
    return Shard(rows, {name: values[name].astype(kind) for name, kind in COLUMNS.items()})


def recall(ids, truth):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(ids, truth)])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(16, 64))
    return np.concatenate([people(40, rng, base), people(2000, rng, base)])


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("first", [40, 700])
def test_a_grown_gallery_finds_what_one_built_at_once_finds(tmp_path, rows, name, first):
    node = {"NAME": name, **ARGUMENTS[name]}
    store = GalleryStore.create(tmp_path / "g", Header("f", "m", node))
    store.append(portion(rows[:first], 0))
    before = store.open_index(application.new_index(node, store.folder))
    assert isinstance(before, TrainedIndex)
    assert (before.trained_on, store.training()["rows"]) == (0 if first < before.least else first, first)
    store.append(portion(rows[first:], first))
    grown, once = (application.new_index(node, store.folder) for _ in range(2))
    store.open_index(grown)
    once.add(rows)
    queries = rows[::25]
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    found = [recall(index.search(queries, 10)[1], truth) for index in (grown, once)]
    assert grown.trained_on == len(rows) == len(grown)
    assert found[0] > found[1] - 0.02
    assert store.training()["trained_on"] == len(rows)
    again = store.open_index(application.new_index(node, store.folder))
    assert again.trained_on == len(rows), "the file carries the number"


def test_the_threshold_is_in_the_header(tmp_path, rows):
    node = {"NAME": "FaissIVFPQ", "CODE_BYTES": 16}
    store = GalleryStore.create(tmp_path / "g", Header("f", "m", node, growth=1.4))
    for start, end, trained_on in [(0, 1000, 1000), (1000, 1200, 1000), (1200, 1240, 1000), (1240, 1260, 1260)]:
        store.append(portion(rows[start:end], start))
        assert GalleryStore(store.folder).open_index(application.new_index(node, store.folder)).trained_on == trained_on
    assert store.training()["limit"] == int(1.4 * 1260)
    assert "training    on 1260 embeddings; 1260 now; trained again above 1764 (growth 1.4)" in application.info(
        store.folder
    )
    store.append(portion(rows[1260:1300], 1260))
    assert "on 1260 embeddings; 1300 now" in application.info(store.folder)


def test_the_index_file_of_an_earlier_version_is_made_again(tmp_path, rows):
    """It does not record what it was trained on, so that it may have been outgrown long ago."""
    import faiss

    node = {"NAME": "FaissIVFPQ", "CODE_BYTES": 16}
    store = GalleryStore.create(tmp_path / "g", Header("f", "m", node))
    store.append(portion(rows, 0))
    old = application.new_index(node, store.folder)
    old.add(rows[:800])
    old.built().add(rows[800:])
    file = tmp_path / "g" / "index.bin"
    file.write_bytes(faiss.serialize_index(old.built()).tobytes())
    note = {"rows": len(rows), "portions": ["000000.npz"], "sha256": digest(file)}
    (tmp_path / "g" / "index.json").write_text(json.dumps(note))
    assert "training    not recorded" in application.info(store.folder)
    assert store.open_index(application.new_index(node, store.folder)).trained_on == len(rows)
    assert f"training    on {len(rows)} embeddings" in application.info(store.folder)


def test_a_small_gallery_says_that_nothing_is_trained_yet(tmp_path, model, photos):
    samples = images_of(photos / "list.csv", Known())
    application.build(tmp_path / "g", model, samples, {"NAME": "FaissIVFPQ", "CODE_BYTES": 4}, skip=False)
    assert "training    none yet, embeddings are searched exactly; 30 now; trained again above 623" in application.info(
        tmp_path / "g"
    )
    found = application.search(tmp_path / "g", model, samples[:1])["conditions"]["search"]
    assert found.endswith("exact below 624 vectors")
    application.build(tmp_path / "flat", model, samples, {"NAME": "FaissFlat"}, skip=False)
    assert "training" not in application.info(tmp_path / "flat")


def test_an_index_that_cannot_hold_the_embeddings_is_refused_before_any_is_kept(tmp_path, model, photos):
    samples = images_of(photos / "list.csv", Known())
    node = {"NAME": "FaissIVFPQ", "CODE_BYTES": 5, "ROTATION": "none"}
    with pytest.raises(UserError, match="code_bytes 5 does not divide the width 16"):
        application.build(tmp_path / "g", model, samples, node, skip=False)
    assert application.build(tmp_path / "g", model, samples, {"NAME": "FaissFlat"}, skip=False).added == 30, (
        "an empty gallery may get another index"
    )


HOLD = """
import sys
from pathlib import Path
from vireid.gallery.store import GalleryStore
with GalleryStore.writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_that_add_at_once(tmp_path, model, photos):
    samples = images_of(photos / "list.csv", Known())
    application.build(tmp_path / "g", model, samples[:10], {"NAME": "TorchExact"}, skip=False)
    partial = tmp_path / "g" / "portions" / ".partial-000001.npz-1"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "g")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        partial.touch()
        text = rf"another process adds images to this gallery; wait until it ends \(process {holder.pid}\)"
        for act in (
            lambda: application.add(tmp_path / "g", model, samples, skip=False),
            lambda: application.build(tmp_path / "g", model, samples, {"NAME": "TorchExact"}, skip=False),
        ):
            with pytest.raises(UserError, match=text):
                act()
        assert application.search(tmp_path / "g", model, samples[:1], k=1)["queries"][0]["answers"]
        assert partial.exists(), "a search must not remove what the other process writes"
    finally:
        holder.kill()
        holder.wait()
    assert application.add(tmp_path / "g", model, samples, skip=False).added == 20
    assert not partial.exists()


def test_images_added_while_a_search_embeds_its_queries(monkeypatch, tmp_path, model, photos):
    samples, gallery = images_of(photos / "list.csv", Known()), tmp_path / "g"
    application.build(gallery, model, samples[:10], {"NAME": "TorchExact"}, skip=False)
    embed, added = model.embed, []

    def slow(some, images):
        if not added:
            added.append(True)
            application.add(gallery, model, samples, skip=False)
        return embed(some, images)

    monkeypatch.setattr(model, "embed", slow)
    answers = application.search(gallery, model, samples[-1:], k=1)
    assert answers["queries"][0]["answers"][0]["path"] == str(samples[-1].path)
    assert "30 images" in answers["conditions"]["gallery"]


def test_a_gallery_without_permission_to_write_is_searched(monkeypatch, tmp_path, model, photos):
    samples, gallery = images_of(photos / "list.csv", Known()), tmp_path / "g"
    application.build(gallery, model, samples, {"NAME": "TorchExact"}, skip=False)
    (gallery / "index.bin").unlink()
    opened = os.open

    def refused(path, flags, *mode, **more):
        if flags & (os.O_RDWR | os.O_WRONLY) and str(path).startswith(str(gallery)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *mode, **more)

    monkeypatch.setattr(os, "open", refused)
    assert application.search(gallery, model, samples[:1], k=1)["queries"][0]["answers"]
    assert not (gallery / "index.bin").exists()
    with pytest.raises(UserError, match="cannot be written: no permission"):
        application.add(gallery, model, samples, skip=False)
