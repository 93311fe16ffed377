"""Files of a CSV dataset: Unicode forms, dots and home, links, suffixes, and images that no line names."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from vireid.core.errors import DataError
from vireid.data.datasets.csv import CsvDataset

HEAD = "path,identity,camera,modality,split\n"
COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people, one to train and one to test, an image in each modality."""
    root = tmp_path / "mine"
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path, *names: str, extra: str = "", file: str = "images.csv") -> CsvDataset:
    names = names or ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    parts = [("1,1,visible", "train"), ("1,2,infrared", "train"), ("2,1,visible", "test"), ("2,2,infrared", "test")]
    lines = [f"{name},{middle},{split}\n" for name, (middle, split) in zip(names, parts, strict=True)]
    (root / file).write_text(HEAD + "".join(lines) + extra, encoding="utf-8")
    return CsvDataset(root=str(root), file=file, splits={"skip": "none"} if ",skip" in extra else None)


def paths(data: CsvDataset) -> list[str]:
    return [sample.path.relative_to(data.root).as_posix() for sample in (*data.train(), *data.test())]


@pytest.mark.parametrize(("disk", "listed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_folders_and_files_in_another_unicode_form(root: Path, disk: str, listed: str) -> None:
    (root / "a").rename(root / disk)
    (root / disk / "1.jpg").rename(root / disk / f"{disk}.jpg")
    data = read(root, f"{listed}/{listed}.jpg", f"{listed}/2.jpg", "b/3.jpg", "b/4.jpg")
    assert paths(data) == [f"{disk}/{disk}.jpg", f"{disk}/2.jpg", "b/3.jpg", "b/4.jpg"]
    assert all(sample.path.is_file() for sample in data.train())
    assert len(data.listing().left_out) == 0
    absolute = read(root, str(root / listed / f"{listed}.jpg"), f"{listed}/2.jpg", "b/3.jpg", "b/4.jpg")
    assert paths(absolute) == paths(data)


def test_of_two_files_that_differ_by_their_form_the_exact_one_is_taken(root: Path) -> None:
    (root / "a" / f"{COMPOSED}.jpg").touch()
    (root / "a" / f"{DECOMPOSED}.jpg").touch()
    names = f"a/{COMPOSED}.jpg", f"a/{DECOMPOSED}.jpg", "b/3.jpg", "b/4.jpg"
    assert paths(read(root, *names)) == list(names)


def test_one_file_named_in_two_forms_stands_twice(root: Path) -> None:
    (root / "a" / f"{DECOMPOSED}.jpg").touch()
    names = f"a/{COMPOSED}.jpg", f"a/{DECOMPOSED}.jpg", "b/3.jpg", "b/4.jpg"
    with pytest.raises(DataError, match=r"images.csv:3: .* is already listed in images.csv:2"):
        read(root, *names).train()


def test_a_root_and_a_csv_file_in_another_form(root: Path) -> None:
    read(root, file=f"{DECOMPOSED}.csv")
    place = root.rename(root.with_name(DECOMPOSED))
    data = CsvDataset(root=str(root.with_name(COMPOSED)), file=f"{COMPOSED}.csv")
    assert data.root == place
    assert len(data.train()) == 2


def test_words_in_two_forms_are_one_word(root: Path) -> None:
    """Identities, cameras, names of columns and words of the config; otherwise a person would be two."""
    text = "path,qui\u00e9n,c\u00e1mara,modality,split\n"
    text += f"a/1.jpg,{COMPOSED},north,visible,train\na/2.jpg,{DECOMPOSED},north,{DECOMPOSED},train\n"
    text += f"b/3.jpg,x,{COMPOSED},visible,test\nb/4.jpg,x,{DECOMPOSED},infrared,test\n"
    (root / "images.csv").write_text(text, encoding="utf-8")
    data = CsvDataset(
        root=str(root),
        file="images.csv",
        columns={"identity": "quie\u0301n", "camera": "ca\u0301mara"},
        modalities={COMPOSED: "infrared"},
    )
    assert data.facts().num_ids == 1
    assert len({sample.camera for sample in data.test()}) == 1


def test_dots_and_home_are_expanded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    assert paths(read(root, "a/../a/1.jpg", "./a/2.jpg", "~/b/3.jpg", str(root / "a/../b/4.jpg"))) == [
        "a/1.jpg",
        "a/2.jpg",
        "b/3.jpg",
        "b/4.jpg",
    ]
    with pytest.raises(DataError, match=r"images.csv:3: a/1.jpg is already listed in images.csv:2"):
        read(root, "a/1.jpg", "b/../a/1.jpg", "b/3.jpg", "b/4.jpg").train()


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".jfif", ".TIFF"])
def test_suffixes(root: Path, suffix: str) -> None:
    (root / "a" / "1.jpg").rename(root / "a" / f"1{suffix}")
    assert paths(read(root, f"a/1{suffix}", "a/2.jpg", "b/3.jpg", "b/4.jpg"))[0] == f"a/1{suffix}"


def test_what_no_line_names_is_counted(root: Path, tmp_path: Path) -> None:
    assert len(read(root).listing().left_out) == 0
    for name in ("a/5.jpg", "a/deep/6.webp", "b/list.txt", "b/7.jpg", "other/8.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    data = read(root, extra="b/7.jpg,9,1,visible,skip\n")
    left_out = data.listing().left_out
    assert {why: [path.relative_to(root).as_posix() for path in found] for why, found in left_out.paths.items()} == {
        "image that no line names": ["a/5.jpg", "a/deep/6.webp"],
        "suffix .txt is not an image": ["b/list.txt"],
        "image of the split none": ["b/7.jpg"],
    }


def test_images_beside_the_csv_file(root: Path) -> None:
    """The folders below the root are not searched then: it may be a home folder."""
    for name in ("1.jpg", "2.jpg", "3.jpg", "extra.jpg"):
        (root / name).touch()
    data = read(root, "1.jpg", "2.jpg", "3.jpg", "b/4.jpg")
    found = data.listing().left_out.paths
    assert {why: [path.relative_to(root).as_posix() for path in paths] for why, paths in found.items()} == {
        "image that no line names": ["b/3.jpg", "extra.jpg"]
    }


def test_linked_folders_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "a").rename(tmp_path / "real")
    (root / "a").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(root)
    data = read(root)
    assert len(data.train()) == 2
    assert "image that no line names" not in data.listing().left_out.paths


def test_sheets_of_the_attributes_that_are_not_read(root: Path, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in (["identity", "hat"], [1, 0], [2, 1]):
        book.worksheets[0].append(line)
    book.create_sheet("more").append(["identity", "bag"])
    book.save(tmp_path / "table.xlsx")
    read(root)
    data = CsvDataset(root=str(root), file="images.csv", attributes=str(tmp_path / "table.xlsx"))
    assert data.listing().left_out.paths == {"sheet 'more' of the attributes": [tmp_path / "table.xlsx"]}
