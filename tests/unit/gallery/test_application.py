from __future__ import annotations

import shutil

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality
from vireid.gallery import application, store
from vireid.gallery.filters import Filter
from vireid.gallery.listing import Known, images_of
from vireid.gallery.store import GalleryStore

FLAT = {"NAME": "TorchExact"}


@pytest.fixture
def samples(photos):
    return images_of(photos / "list.csv", Known())


def built(folder, model, samples, node=FLAT, skip=False):
    return application.build(folder, model, samples, node, skip=skip)


def found(answers):
    return [[answer["path"].rsplit("/", 1)[1] for answer in one["answers"]] for one in answers["queries"]]


def test_the_same_people_are_found_in_other_cameras(tmp_path, model, samples):
    done = built(tmp_path / "g", model, samples)
    assert (done.added, done.already) == (30, 0)
    assert str(done).startswith("30 images added, 0 already in the gallery (")
    queries = [sample for sample in samples if sample.camera == 3]
    answers = application.search(tmp_path / "g", model, queries, k=2, only=Filter(cameras=(1, 2)))
    assert [set(names) for names in found(answers)] == [{f"{p}_1.png", f"{p}_2.png"} for p in range(10)]
    first = answers["queries"][0]["answers"][0]
    assert (first["rank"], first["identity"], first["modality"]) == (1, 0, "visible")
    assert 0.8 < first["score"] <= 1
    assert "approximate" not in answers["conditions"]["search"]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (Filter(cameras=(2,)), {"_2"}),
        (Filter(modality=Modality.INFRARED), {"_3"}),
        (Filter(after=200), {"_2", "_3"}),
        (Filter(before=209, after=200), {"_2"}),
        (Filter(modality=Modality.VISIBLE, before=150), {"_1"}),
    ],
)
def test_filters(tmp_path, model, samples, only, expected):
    built(tmp_path / "g", model, samples)
    answers = application.search(tmp_path / "g", model, samples[:1], k=30, only=only)
    assert {name[1:3] for name in found(answers)[0]} == expected
    assert len(found(answers)[0]) == 10 * len(expected)


def test_a_filter_that_leaves_nobody(tmp_path, model, samples):
    built(tmp_path / "g", model, samples)
    with pytest.raises(DataError, match=r"no image of the gallery passes .* cameras are 1, 2, 3"):
        application.search(tmp_path / "g", model, samples[:1], only=Filter(cameras=(9,)))


def test_an_interrupted_build_embeds_only_what_is_missing(monkeypatch, tmp_path, model, samples):
    monkeypatch.setattr(application, "SHARD_SIZE", 7)
    embed, calls = model.embed, []

    def dying(some, images):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(images))
        return embed(some, images)

    monkeypatch.setattr(model, "embed", dying)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "g", model, samples)
    monkeypatch.setattr(model, "embed", embed)
    model.embedded = 0
    done = built(tmp_path / "g", model, samples)
    assert (done.added, done.already, model.embedded) == (16, 14, 16)
    assert GalleryStore(tmp_path / "g").columns()["path"].tolist() == [str(sample.path) for sample in samples]


def test_additions_are_found_without_embedding_the_rest_again(tmp_path, model, samples):
    built(tmp_path / "g", model, samples[:12])
    application.search(tmp_path / "g", model, samples[:1])
    model.embedded = 0
    done = application.add(tmp_path / "g", model, samples, skip=False)
    assert (done.added, model.embedded) == (18, 18)
    answers = application.search(tmp_path / "g", model, samples[29:], k=1)
    assert found(answers) == [["9_3.png"]]


def test_bad_images_are_reported_and_skipped_on_request(tmp_path, model, samples, photos):
    (photos / "4_1.png").write_bytes(b"nonsense")
    (photos / "5_2.png").unlink()
    with pytest.raises(DataError, match="2 images cannot be used; the others \\(28\\) are kept") as error:
        built(tmp_path / "g", model, samples)
    assert f"{photos / '4_1.png'}: not an image" in str(error.value)
    done = built(tmp_path / "g", model, samples, skip=True)
    assert (done.added, done.already, sorted(done.bad)) == (0, 28, [str(photos / "4_1.png"), str(photos / "5_2.png")])
    with pytest.raises(DataError, match="queries that cannot be used:"):
        application.search(tmp_path / "g", model, [s for s in samples if s.path.name == "4_1.png"])


def test_another_model_is_refused(tmp_path, model, other, samples):
    built(tmp_path / "g", model, samples)
    for use in (
        lambda: application.search(tmp_path / "g", other, samples[:1]),
        lambda: application.add(tmp_path / "g", other, samples, skip=False),
        lambda: built(tmp_path / "g", other, samples),
    ):
        with pytest.raises(UserError, match=r"was made by another model \(projection 0, .*cannot be compared"):
            use()


def test_an_empty_gallery(tmp_path, model, samples):
    with pytest.raises(UserError, match="is not a gallery"):
        application.search(tmp_path / "g", model, samples[:1])
    with pytest.raises(UserError, match="the gallery is empty"):
        built(tmp_path / "g", model, [])
    with pytest.raises(UserError, match="the gallery is empty"):
        application.search(tmp_path / "g", model, samples[:1])


def test_a_corrupt_index_is_said_and_made_again(tmp_path, model, samples):
    built(tmp_path / "g", model, samples)
    index = tmp_path / "g" / "index.bin"
    content = index.read_bytes()
    index.write_bytes(content[:-100] + bytes(100))
    with pytest.raises(DataError, match=r"index\.bin is damaged: remove it, and the next search builds it again"):
        application.search(tmp_path / "g", model, samples[:1])
    index.unlink()
    assert found(application.search(tmp_path / "g", model, samples[:1], k=1)) == [["0_1.png"]]


@pytest.mark.parametrize("earlier", [False, True], ids=["first index", "index that grew"])
def test_an_index_without_its_note_is_made_again(monkeypatch, tmp_path, model, samples, earlier):
    """A process was stopped after it wrote index.bin and before it wrote index.json."""
    gallery = tmp_path / "g"
    if earlier:
        built(gallery, model, samples[:4])
    write = store.write_json

    def stopped(path, value):
        if path.name == "index.json":
            raise KeyboardInterrupt
        write(path, value)

    monkeypatch.setattr(store, "write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        built(gallery, model, samples)
    assert (gallery / "index.bin").exists()
    assert not (gallery / "index.json").exists()
    monkeypatch.setattr(store, "write_json", write)
    built(gallery, model, samples)
    assert found(application.search(gallery, model, samples[:1], k=1)) == [["0_1.png"]]
    assert (gallery / "index.json").exists()


def test_a_corrupt_portion_is_said_and_its_images_can_be_embedded_again(monkeypatch, tmp_path, model, samples):
    monkeypatch.setattr(application, "SHARD_SIZE", 10)
    built(tmp_path / "g", model, samples)
    portion = tmp_path / "g" / "portions" / "000001.npz"
    content = bytearray(portion.read_bytes())
    content[400:420] = bytes(20)
    portion.write_bytes(content)
    with pytest.raises(DataError, match=r"000001\.npz is damaged .* move it away"):
        application.search(tmp_path / "g", model, samples[:1])
    portion.unlink()
    with pytest.raises(DataError, match=r"index\.bin was built from shards that do not exist any more: remove it"):
        application.search(tmp_path / "g", model, samples[:1])
    (tmp_path / "g" / "index.bin").unlink()
    assert application.add(tmp_path / "g", model, samples, skip=False).added == 10


def test_an_index_of_more_vectors_than_the_gallery(tmp_path, model, samples):
    built(tmp_path / "g", model, samples)
    (tmp_path / "g" / "index.bin").unlink()
    used = application.new_index(FLAT, tmp_path / "g")
    used.add(np.eye(40, 16, dtype=np.float32) + 1)
    with pytest.raises(DataError, match="the index has 40 embeddings and the gallery 30"):
        GalleryStore(tmp_path / "g").open_index(used)


@pytest.mark.parametrize("node", [["FaissIVF", "PROBES=4", "LISTS=2"], ["FaissHNSW"], ["FaissFlat"]])
def test_any_index(tmp_path, model, samples, node):
    pytest.importorskip("faiss", reason="faiss is not installed")
    made = application.index_node(node[0], node[1:])
    built(tmp_path / "g", model, samples, made)
    answers = application.search(tmp_path / "g", model, samples, k=1)
    assert sum(names == [sample.path.name] for names, sample in zip(found(answers), samples)) >= 28
    with pytest.raises(UserError, match="is searched by"):
        built(tmp_path / "g", model, samples)


def test_milvus_keeps_its_file_in_the_gallery(tmp_path, model, samples):
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    node = application.index_node("Milvus", ["ADDRESS={folder}/milvus.db", "INDEX_TYPE=FLAT"])
    built(tmp_path / "g", model, samples, node)
    assert (tmp_path / "g" / "milvus.db").exists()
    assert found(application.search(tmp_path / "g", model, samples[:1], k=1)) == [["0_1.png"]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["FaissIFV"], "did you mean 'FaissIVF'"),
        (["FaissIVF", "PROBE=3"], "'PROBE=3' is not an argument of FaissIVF; did you mean 'PROBES'"),
        (["FaissIVF", "PROBES=many"], "FaissIVF: PROBES = 'many'"),
        (["FaissIVF", "PROBES"], "'PROBES' is not an argument of FaissIVF"),
    ],
)
def test_wrong_words_for_an_index(words, text):
    with pytest.raises(UserError, match=text):
        application.index_node(words[0], words[1:])


def test_vectors_are_kept_as_they_were_described(tmp_path, model, samples):
    built(tmp_path / "g", model, samples[:5])
    (shard,) = GalleryStore(tmp_path / "g").shards()
    np.testing.assert_allclose(np.linalg.norm(shard.embeddings, axis=1), 1, rtol=1e-6)
    assert shard.columns["time"].tolist() == [sample.time for sample in samples[:5]]


def test_the_index_of_another_gallery_is_refused(tmp_path, model, samples):
    built(tmp_path / "g", model, samples[:10])
    built(tmp_path / "other", model, samples[10:20])
    for name in ("index.bin", "index.json"):
        shutil.copy(tmp_path / "other" / name, tmp_path / "g" / name)
    with pytest.raises(DataError, match=r"was made from other embeddings than those of 000000\.npz .* remove it"):
        application.search(tmp_path / "g", model, samples[:1])
    (tmp_path / "g" / "index.bin").unlink()
    assert found(application.search(tmp_path / "g", model, samples[:1], k=1)) == [[samples[0].path.name]]


def test_a_portion_that_was_replaced_makes_the_index_unusable(tmp_path, model, samples):
    built(tmp_path / "g", model, samples[:10])
    application.add(tmp_path / "g", model, samples[10:20], skip=False)
    (tmp_path / "g" / "portions" / "000001.npz").unlink()
    with pytest.raises(DataError, match="made from other embeddings"):
        application.add(tmp_path / "g", model, samples[20:], skip=False)  # they become 000001.npz
