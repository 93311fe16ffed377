from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from vireid.core.errors import Finding
from vireid.core.types import DatasetInfo, Sample
from vireid.data.check import Count, DatasetReport, Section, check_dataset
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.images import digests
from vireid.data.images.cache import open_images
from vireid.data.images.decode import mode_fault
from vireid.data.images.depth import DepthMapping
from vireid.data.listing import DatasetListing

SIZE = (24, 12)


def check(root: Path, attributes: Path | None = None, images: bool = True) -> DatasetReport:
    dataset = SysuMM01(root=str(root), attributes=None if attributes is None else str(attributes))
    return check_dataset(dataset, size=SIZE, images=images, workers=1)


def lines(sections, heading: str) -> list[str]:
    return [str(each) for section in sections if section.heading.startswith(heading) for each in section.findings]


@pytest.fixture
def distinct(sysu_root: Path, make_image: Callable[..., None]) -> Path:
    """The same identities, with different images."""
    for seed, file in enumerate(sorted(sysu_root.glob("cam*/*/*.jpg"))):
        make_image(file, seed)
    return sysu_root


def test_a_sound_dataset(distinct: Path) -> None:
    report = check(distinct)
    assert report.usable
    assert (report.faults, report.images_opened) == ([], True)
    assert lines(report.notes, "Test identities") == []
    assert report.counts["train"]["all"] == Count(18, 3, 10, 8, 0)
    assert report.counts["train"]["camera 3 (infrared)"] == Count(4, 2, 0, 4, 0)
    assert report.counts["test"]["all"] == Count(14, 2, 8, 6, 0)
    assert report.to_text().splitlines() == [
        "                       images  identities  visible  infrared  with attributes",
        "train                      18           3       10         8                0",
        "  camera 1 (visible)        2           1        2         0                0",
        "  camera 2 (visible)        4           2        4         0                0",
        "  camera 3 (infrared)       4           2        0         4                0",
        "  camera 4 (visible)        2           1        2         0                0",
        "  camera 5 (visible)        2           1        2         0                0",
        "  camera 6 (infrared)       4           2        0         4                0",
        "test                       14           2        8         6                0",
        "  camera 1 (visible)        2           1        2         0                0",
        "  camera 2 (visible)        2           1        2         0                0",
        "  camera 3 (infrared)       2           1        0         2                0",
        "  camera 4 (visible)        2           1        2         0                0",
        "  camera 5 (visible)        2           1        2         0                0",
        "  camera 6 (infrared)       4           2        0         4                0",
        "",
        "No fault was found: training can work.",
    ]


def test_faults_of_the_listing_hide_no_image(distinct: Path) -> None:
    shutil.rmtree(distinct / "cam4" / "0012")
    shutil.rmtree(distinct / "cam5" / "0012")
    test = distinct / "cam6" / "0020" / "0001.jpg"
    test.write_bytes(b"")
    report = check(distinct)
    assert len(lines(report.faults, "Faults of the listing:")) == 1
    assert lines(report.faults, "Images that cannot be used (of 28)") == [f"{test}: the file is empty"]
    assert report.to_text().endswith("\n2 faults: training cannot work.")


def test_quick_opens_no_image(distinct: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*arguments: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", opened)
    report = check(distinct, images=False)
    assert report.usable
    assert report.to_text().endswith("No fault was found: training can work. No image was opened.")


def test_images_of_the_same_content_by_gravity(distinct: Path) -> None:
    def copy(source: str, target: str) -> str:
        shutil.copy(distinct / source, distinct / target)
        return f"{distinct / source} = {distinct / target}"

    across = copy("cam1/0005/0001.jpg", "cam1/0003/0001.jpg")
    people = copy("cam2/0005/0001.jpg", "cam2/0007/0001.jpg")
    plain = copy("cam3/0005/0001.jpg", "cam6/0005/0001.jpg")
    report = check(distinct)
    assert report.usable
    assert [(section.heading.split(";")[0], [each.text for each in section.findings]) for section in report.notes] == [
        ("The same image in training and in test", [across]),
        ("The same image under different identities:", [people]),
        ("The same image more than once:", [plain]),
    ]
    assert {each.severity for section in report.notes for each in section.findings} == {"note"}


def test_attributes_and_images_without_each_other(distinct: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("identity,camera,bag\n5,1,1\n5,4,1\n12,,0\n7,,\n3,,1\n20,6,1\n")
    report = check(distinct, table)
    assert report.usable
    assert lines(report.notes, "Rows of attributes without an image") == ["line 3: identity 5, camera 4"]
    assert lines(report.notes, "Images without attributes") == [
        *(f"{distinct}/cam{camera}/0005: 2 images" for camera in (2, 3, 6)),
        *(f"{distinct}/cam{camera}/0007: 2 images" for camera in (2, 3)),
        f"{distinct}/cam5/0020: 2 images",
    ]
    assert report.counts["train"]["all"].annotated == 8


def test_test_identities_of_one_modality_are_a_note(distinct: Path) -> None:
    shutil.rmtree(distinct / "cam6" / "0020")
    report = check(distinct)
    assert report.usable
    assert lines(report.notes, "Test identities in one modality only") == ["identity 20: no infrared image"]


def test_what_is_not_used_is_a_note_with_counts(distinct: Path) -> None:
    for name in ("cam1/0005/a.txt", "cam1/0005/b.txt", "cam2/0077/1.jpg"):
        (distinct / name).parent.mkdir(exist_ok=True)
        (distinct / name).touch()
    report = check(distinct)
    assert report.usable
    assert report.to_text().endswith(
        "Worth knowing:\n"
        "  Files and folders that are not used:\n"
        f"    - 2 left out: suffix .txt is not an image ({distinct}/cam1/0005/a.txt, ...)\n"
        f"    - 1 left out: folder of an identity that no list in exp names ({distinct}/cam2/0077)\n"
        "\n"
        "No fault was found: training can work."
    )
    (note,) = report.to_json()["notes"]
    assert note["total"] == 3
    assert note["lines"][1] == f"{distinct}/cam1/0005/b.txt: suffix .txt is not an image"


def test_refused_color_modes_are_counted_and_the_conversion_is_named(distinct: Path, make_image) -> None:
    for name, mode in (("cam1/0005/0001", "CMYK"), ("cam1/0005/0002", "CMYK"), ("cam3/0005/0001", "I;16")):
        (distinct / f"{name}.jpg").unlink()
        image = Image.new(mode, (20, 40), (5, 6, 7, 8) if mode == "CMYK" else 300)
        image.save(distinct / f"{name}.tif")
    report = check(distinct)
    assert len(lines(report.faults, "Images that cannot be used (of 32)")) == 3
    first = distinct / "cam1" / "0005" / "0001.tif"
    assert lines(report.notes, "Color modes of the images that cannot be used:") == [
        f"2 images of {mode_fault('CMYK')} (first: {first})",
        f"1 image of {mode_fault('I;16')} (first: {distinct / 'cam3' / '0005' / '0001.tif'})",
    ]
    depth = DepthMapping(percentiles=(1, 99))
    dataset = SysuMM01(root=str(distinct))
    report = check_dataset(dataset, size=SIZE, workers=1, depth=depth)
    assert len(lines(report.faults, "Images that cannot be used (of 32)")) == 2


def test_files_that_changed_unnoticed_are_reported(distinct: Path, tmp_path: Path, monkeypatch) -> None:
    """The list of content digests holds another content for a file whose size and times are those of the list."""
    cache, dataset, now = tmp_path / "cache", SysuMM01(root=str(distinct)), time.time_ns
    monkeypatch.setattr(digests.time, "time_ns", lambda: now() + 3600 * 10**9)
    open_images(dataset.train(), size=SIZE, folder=cache)
    title = "Files that were changed although size and times are the same"
    assert lines(check_dataset(dataset, size=SIZE, cache=cache).notes, title) == []
    path = str(dataset.train()[0].path)
    entry = digests._parsed(cache / digests.NAME)[path]
    digests._update(cache, {path: replace(entry, state=replace(entry.state, digest="0" * 32))})
    assert lines(check_dataset(dataset, size=SIZE, cache=cache).notes, title) == [path]
    assert lines(check_dataset(dataset, size=SIZE, cache=cache).notes, title) == []


class Indexed:
    """Dataset of a user, without `listing()`."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def train(self) -> list[Sample]:
        return self.samples

    def test(self) -> list[Sample]:
        return self.samples

    def facts(self) -> DatasetInfo:
        return DatasetInfo()


def test_any_dataset_can_be_checked(distinct: Path) -> None:
    samples = SysuMM01(root=str(distinct)).train()
    samples[0].path.unlink()
    report = check_dataset(Indexed(samples), size=SIZE)
    assert lines(report.faults, "") == [f"{samples[0].path}: No such file or directory"]


def test_long_lists_are_cut_in_the_text_and_complete_in_the_file() -> None:
    section = Section("Many:", [Finding(f"line {n}", kind="lines") for n in range(25)])
    assert section.to_text() == ["  Many:", *(f"    - line {n}" for n in range(20)), "      ... and 5 more lines"]
    content = DatasetReport({}, [section], True).to_json()
    assert content["faults"] == [{"title": "Many:", "total": 25, "lines": [f"line {n}" for n in range(25)]}]
    assert content["usable"] is False


def test_a_missing_file_of_the_listing_is_not_reported_again(distinct: Path) -> None:
    """It is recognized by its path, not by the text of the finding."""
    samples = SysuMM01(root=str(distinct)).train()
    samples[0].path.unlink()
    samples[1].path.unlink()

    class Listed(Indexed):
        def listing(self) -> DatasetListing:
            return DatasetListing(self.samples, self.samples, (Finding("is gone", path=samples[0].path),))

    report = check_dataset(Listed(samples), size=SIZE)
    assert [[each.path for each in section.findings] for section in report.faults] == [
        [samples[0].path],
        [samples[1].path],
    ]
