"""One embedding for each file, whatever its path looks like; changed, vanished and repeated files are reported."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.core.errors import DataError, UserError
from vireid.gallery import application
from vireid.gallery.listing import Known, images_of, listed_images
from vireid.gallery.store import GalleryStore

FLAT = {"NAME": "TorchExact"}
VISIBLE = Known(modality="visible")


def paths(gallery):
    return GalleryStore(gallery).columns()["path"].tolist()


def paint(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="BMP")


@pytest.fixture
def gallery(tmp_path, model, photos):
    application.build(tmp_path / "g", model, images_of(photos, VISIBLE), FLAT, skip=False)
    return tmp_path / "g"


@pytest.fixture
def spellings(photos, monkeypatch):
    """The same folder, written in five ways."""
    link = photos.parent / "link"
    link.symlink_to(photos, target_is_directory=True)
    monkeypatch.chdir(photos.parent)
    monkeypatch.setenv("HOME", str(photos.parent))
    return [photos, Path("photos"), photos / ".." / "photos", link, Path("~/photos")]


def test_a_file_is_embedded_once_however_its_path_is_written(tmp_path, model, gallery, spellings):
    for place in spellings:
        done = application.add(gallery, model, images_of(place, VISIBLE), skip=False)
        assert (done.added, done.already) == (0, 30), place
    assert len(paths(gallery)) == model.embedded == 30
    assert all(os.path.realpath(path) == path for path in paths(gallery))


def test_the_lines_of_a_list_and_samples_of_other_programs_are_resolved_as_well(tmp_path, model, photos, spellings):
    names = [
        "0_1.png",
        "./0_1.png",
        "../photos/0_1.png",
        str(photos / "0_1.png"),
        "../link/0_1.png",
        "~/photos/0_1.png",
    ]
    (photos / "names.csv").write_text("\n".join(["path,modality", *(f"{name},rgb" for name in names)]))
    listing = listed_images(photos / "names.csv", Known())
    assert [sample.path for sample in listing.samples] == [photos / "0_1.png"]
    assert listing.left_out.lines() == [f"5 left out: listed more than once ({photos / '0_1.png'}, ...)"]
    (sample,) = listing.samples
    raw = [replace(sample, path=Path(name)) for name in ("photos/0_1.png", "link/0_1.png", str(photos / "0_1.png"))]
    done = application.build(tmp_path / "g", model, raw, FLAT, skip=False)
    assert (done.added, done.repeated) == (1, 2)
    assert "2 entries name a file that is listed already" in str(done)
    other = replace(raw[1], camera=7)
    with pytest.raises(DataError, match=r"is listed twice with different values: identity -1, camera -1.*camera 7"):
        application.add(tmp_path / "g", model, [raw[0], other], skip=False)


def test_links_to_files_and_folders_below_a_folder(photos, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    paint(more / "new.bmp", 1)
    (photos / "linked").symlink_to(more, target_is_directory=True)
    (photos / "again.png").symlink_to(photos / "0_1.png")
    (more / "cycle").symlink_to(photos, target_is_directory=True)
    listing = listed_images(photos, VISIBLE)
    assert len(listing.samples) == 31
    assert more / "new.bmp" in [sample.path for sample in listing.samples]
    lines = "\n".join(listing.left_out.lines())
    assert "1 left out: link to a file that is listed already" in lines
    assert "link to a folder that is read already" in lines
    assert "1 left out: suffix .csv is not an image" in lines


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_another_unicode_form(tmp_path, model, form):
    folder = tmp_path / "photos"
    other = "NFD" if form == "NFC" else "NFC"
    name = "Ku\u0308bra/ca\u0300mera.bmp"
    (folder / unicodedata.normalize(form, "Ku\u0308bra")).mkdir(parents=True)
    paint(folder / unicodedata.normalize(form, name), 0)
    lines = ["path,modality", f"{unicodedata.normalize(other, name)},rgb", f"{unicodedata.normalize(form, name)},rgb"]
    (folder / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    listing = listed_images(folder / "list.csv", Known())
    assert (len(listing.samples), len(listing.left_out)) == (1, 1)
    assert application.build(tmp_path / "g", model, listing.samples, FLAT, skip=False).added == 1


def test_both_unicode_forms_of_a_name_may_be_two_files(tmp_path):
    names = [unicodedata.normalize(form, "\u00fc.bmp") for form in ("NFC", "NFD")]
    for seed, name in enumerate(names):
        paint(tmp_path / name, seed)
    if len(os.listdir(tmp_path)) == 1:
        pytest.skip("this file system compares names by their normal form")
    assert sorted(sample.path.name for sample in images_of(tmp_path, VISIBLE)) == sorted(names)


def best(gallery, model, image, k=1):
    (one,) = application.search(gallery, model, images_of(image, VISIBLE), k=k)["queries"]
    return [(answer["path"], answer["score"]) for answer in one["answers"]]


@pytest.mark.parametrize("times", ["new", "old"])
def test_a_replaced_picture_is_reported_and_embedded_again_on_request(tmp_path, model, times):
    """Equal sizes, and with "old" equal modification times, too."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(5):
        paint(folder / f"{seed}.bmp", seed)
    gallery, samples = tmp_path / "g", images_of(folder, VISIBLE)
    application.build(gallery, model, samples, FLAT, skip=False)
    paint(tmp_path / "other.bmp", 77)
    before = os.stat(folder / "2.bmp")
    shutil.copy(tmp_path / "other.bmp", folder / "2.bmp")
    assert before.st_size == os.stat(folder / "2.bmp").st_size
    if times == "old":
        os.utime(folder / "2.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    done = application.add(gallery, model, samples, skip=False)
    assert (done.added, done.already, done.refreshed) == (0, 5, 0)
    assert "1 images changed since embedded; their old embeddings are kept, --refresh embeds them again" in str(done)
    assert "1 images have another size or time than when they were embedded" in application.info(gallery)
    assert best(gallery, model, tmp_path / "other.bmp")[0][1] < 0.9, "the old embedding"
    done = application.add(gallery, model, samples, skip=False, refresh=True)
    assert (done.added, done.already, done.refreshed) == (0, 5, 1)
    assert model.embedded == 5 + 1 + 1, "five images, a query, and the one that changed"
    found = best(gallery, model, tmp_path / "other.bmp", k=10)
    assert found[0] == (str(folder / "2.bmp"), 1.0)
    assert len(found) == len({path for path, _ in found}) == 5, "the old embedding is not found beside the new one"
    told = application.info(gallery)
    assert "images      5" in told
    assert "superseded  1" in told
    assert "changed" not in str(application.add(gallery, model, samples, skip=False))


def test_a_touched_picture_with_the_same_content_is_unchanged(gallery, model, photos):
    os.utime(photos / "0_1.png", (0, 0))
    done = application.add(gallery, model, images_of(photos, VISIBLE), skip=False, refresh=True)
    assert (done.refreshed, done.notices) == (0, [])


def test_a_search_says_that_found_images_are_outdated(gallery, model, photos):
    assert "outdated" not in application.search(gallery, model, images_of(photos / "1_1.png", VISIBLE))["conditions"]
    query = images_of(photos / "1_1.png", VISIBLE)
    paint(photos / "0_1.png", 5)
    (photos / "0_2.png").unlink()
    said = application.search(gallery, model, query, k=30)["conditions"]["outdated"]
    assert said.startswith("2 of the images found changed or vanished since they were embedded")


def test_a_search_compares_the_content_of_found_images(gallery, model, photos):
    """A picture of equal size whose time was set back has changed; one with another time and equal content has not."""
    query = images_of(photos / "1_1.png", VISIBLE)
    os.utime(photos / "0_2.png", (0, 0))
    assert "outdated" not in application.search(gallery, model, query, k=30)["conditions"]
    old = os.stat(photos / "0_1.png")
    content = bytearray((photos / "0_1.png").read_bytes())
    content[-20] ^= 1
    (photos / "0_1.png").write_bytes(content)
    os.utime(photos / "0_1.png", ns=(old.st_atime_ns, old.st_mtime_ns))
    said = application.search(gallery, model, query, k=30)["conditions"]["outdated"]
    assert said.startswith("1 of the images found changed")


def test_vanished_files_are_reported(gallery, model, photos):
    samples = images_of(photos, VISIBLE)
    (photos / "3_1.png").unlink()
    done = application.add(gallery, model, samples[:2], skip=False)
    assert f"1 images of the gallery no longer exist ({photos / '3_1.png'})" in str(done)
    assert "vanished    1 images no longer exist" in application.info(gallery)


def test_other_values_in_the_list_are_reported_and_taken_on_request(gallery, model, photos):
    samples = images_of(photos / "list.csv", Known())  # the folder had no identities, cameras and times
    done = application.add(gallery, model, samples, skip=False)
    assert "30 images have other values in the list than in the gallery; --refresh takes them" in str(done)
    assert application.add(gallery, model, samples, skip=False, refresh=True).refreshed == 30
    assert "identity    10 different" in application.info(gallery)
    done = application.add(gallery, model, images_of(photos, VISIBLE)[:1], skip=False, refresh=True)
    assert (done.refreshed, done.notices) == (0, []), "what a list does not say is no other value"


def of_format_1(gallery, model, samples, names):
    """A gallery as the version before format 2 wrote it, with paths as they were written."""
    (gallery / "portions").mkdir(parents=True)
    header = {"fingerprint": model.fingerprint(), "model": model.words, "index": FLAT, "format": 1}
    (gallery / "gallery.json").write_text(json.dumps(header))
    images = np.stack([np.asarray(Image.open(sample.path)) for sample in samples])
    np.savez(
        gallery / "portions" / "000000.npz",
        vectors=model.embed(samples, images),
        path=np.array(names),
        identity=np.array([sample.identity for sample in samples]),
        camera=np.array([sample.camera for sample in samples]),
        modality=np.array([int(sample.modality) for sample in samples]),
        time=np.array([np.nan if sample.time is None else sample.time for sample in samples]),
    )


def test_format_1_is_read_and_becomes_format_2_with_the_first_addition(tmp_path, model, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples, gallery = images_of(photos / "list.csv", Known()), tmp_path / "g"
    names = ["photos/0_1.png", str(photos / ".." / "photos" / "0_1.png"), str(photos / "0_2.png")]
    of_format_1(gallery, model, [samples[0], samples[0], samples[1]], names)
    told = application.info(gallery)
    assert "format      1 (add makes it 2)" in told
    assert "images      2" in told, "one image had two names"
    assert "unrecorded  2 images were embedded by an earlier version" in told
    answers = application.search(gallery, model, samples[:1], k=5)["queries"][0]["answers"]
    assert [Path(answer["path"]).name for answer in answers] == ["0_1.png", "0_2.png"]
    done = application.add(gallery, model, samples[:3], skip=False)
    assert (done.added, done.already) == (1, 2)
    assert "2 images were embedded by an earlier version, which recorded no digest" in str(done)
    assert "format      2" in application.info(gallery)
    done = application.add(gallery, model, samples[:3], skip=False, refresh=True)
    assert (done.added, done.refreshed) == (0, 2)
    assert "unrecorded" not in application.info(gallery)
    assert "images      3" in application.info(gallery)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"format": 3}, UserError, "has the format 3, this version reads 1 and 2: update vireid"),
        ({"growth": 0.5}, DataError, "growth must be a number of at least 1, got 0.5"),
        ({"colour": 1}, DataError, "gallery.json is damaged"),
    ],
)
def test_headers_that_cannot_be_used(gallery, change, error, text):
    file = gallery / "gallery.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(error, match=text):
        GalleryStore(gallery)
