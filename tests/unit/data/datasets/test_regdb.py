from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.regdb import RegDB


def relative(root: Path, samples: list[Sample]) -> list[str]:
    return [sample.path.relative_to(root).as_posix() for sample in samples]


def error_of(root: Path, split: int = 1) -> DataError:
    with pytest.raises(DataError) as caught:
        RegDB(root=str(root), split=split).test()
    return caught.value


def text_of(root: Path) -> str:
    return str(error_of(root)).replace(str(root), "ROOT")


@pytest.mark.parametrize(("split", "train", "test"), [(1, (4, 1, 6), (2, 3, 5)), (2, (1, 2, 3), (4, 5, 6))])
def test_a_split_lists_visible_then_thermal_images_in_the_order_of_its_files(regdb_root, split, train, test):
    data = RegDB(root=str(regdb_root), split=split)
    for samples, people in ((data.train(), train), (data.test(), test)):
        assert relative(regdb_root, samples) == [
            f"{folder}/{person}/{letter}_{number}.bmp"
            for folder, letter in (("Visible", "v"), ("Thermal", "t"))
            for person in people
            for number in (1, 2)
        ]
        assert [s.identity for s in samples] == [0, 0, 1, 1, 2, 2] * 2
        assert [(s.camera, s.modality) for s in samples] == [(1, Modality.VISIBLE)] * 6 + [(2, Modality.INFRARED)] * 6
    assert data.facts() == DatasetInfo(num_ids=3, num_cameras=2)
    assert data.checkpoint_key == {"data": "RegDB", "split": split}


def test_training_labels_become_ranks_and_test_labels_stay(regdb_root):
    for part in ("train", "test"):
        for word in ("visible", "thermal"):
            file = regdb_root / "idx" / f"{part}_{word}_1.txt"
            file.write_text(file.read_text().replace(" 2\n", " 40\n").replace(" 0\n", "\t7 \n"))
    data = RegDB(root=str(regdb_root))
    assert [s.identity for s in data.train()] == [1, 1, 0, 0, 2, 2] * 2
    assert [s.identity for s in data.test()] == [7, 7, 1, 1, 40, 40] * 2


@pytest.mark.parametrize("split", [0, 11])
def test_there_are_ten_splits(split):
    with pytest.raises(ArgumentError, match=f"must be between 1 and 10, got {split}") as caught:
        RegDB(root="nowhere", split=split)
    assert caught.value.parameter == "split"


def test_all_faults_are_reported_at_once(regdb_root):
    idx = regdb_root / "idx"
    visible = (
        "Visible/4/v_1.bmp 0\nVisible/4/v_1.bmp 0\n\nVisible/44/v_1.bmp 1\nVisible/2/v_1.bmp x1\nVisible/6/v_2.bmp"
    )
    (idx / "train_visible_1.txt").write_text(visible + "\nVisible\\6\\v_1.bmp 2\nThermal/2/t_1.bmp 3\n")
    (idx / "test_visible_1.txt").rename(idx / "test_visibel_1.txt")
    (regdb_root / "Thermal" / "1" / "t_2.bmp").rename(regdb_root / "Thermal" / "1" / "t_2.BMP.part")
    error = error_of(regdb_root)
    assert error.text == f"{regdb_root} cannot be used as RegDB, split 1"
    train, line = "idx/train_visible_1.txt", "a line is 'relative/path label'"
    assert [(each.place, each.text, each.suggestion) for each in error.findings] == [
        (f"{train}, line 2", f"Visible/4/v_1.bmp is already listed in {train}, line 1", None),
        (
            f"{train}, line 5",
            f"'x1' is not a label (an integer from 0); {line} (the line: 'Visible/2/v_1.bmp x1')",
            None,
        ),
        (f"{train}, line 6", f"has no label; {line} (the line: 'Visible/6/v_2.bmp')", None),
        (
            "",
            "idx/test_visible_1.txt is missing; it holds a line 'relative/path label' for each image",
            "test_visibel_1.txt",
        ),
        (f"{train}, line 4", "Visible/44/v_1.bmp does not exist: there is no folder 44", "4"),
        (
            f"{train}, line 7",
            "Visible\\6\\v_1.bmp is written with \\; folders are separated by /, as in Visible/6/v_1.bmp",
            None,
        ),
        ("idx/train_thermal_1.txt, line 4", "Thermal/1/t_2.bmp does not exist", "t_1.bmp"),
        ("idx/test_thermal_1.txt, line 1", f"Thermal/2/t_1.bmp is also listed in {train}, line 8", None),
        ("", "training labels without a line in idx/train_thermal_1.txt: 3; add lines or remove the labels", None),
    ]
    missing = [each.path for each in error.findings if each.kind == "missing files"]
    names = ("Visible/44/v_1.bmp", "Visible\\6\\v_1.bmp", "Thermal/1/t_2.bmp")
    assert missing == [regdb_root / name for name in names]


def test_of_many_missing_files_a_few_are_shown(regdb_root):
    shutil.rmtree(regdb_root / "Thermal")
    text = text_of(regdb_root)
    assert text.startswith("ROOT cannot be used as RegDB, split 1 (13 faults):\n  - the folder Thermal is missing;")
    line = "  - idx/train_thermal_1.txt, line 1: Thermal/4/t_1.bmp does not exist: there is no folder Thermal"
    assert line in text.splitlines()
    assert text.endswith("\n    ... and 2 more missing files")
    listing = RegDB(root=str(regdb_root)).listing()
    assert [finding.kind for finding in listing.findings] == ["", *["missing files"] * 12]
    assert len(listing.train) == len(listing.test) == 12


@pytest.mark.parametrize(("content", "fault"), [("", "is empty"), ("\n \n", "is empty"), (None, "is missing")])
def test_an_index_file_without_lines(regdb_root, content, fault):
    file = regdb_root / "idx" / "test_thermal_1.txt"
    file.unlink() if content is None else file.write_text(content)
    assert f"  - idx/test_thermal_1.txt {fault}" in text_of(regdb_root)


def test_a_binary_index_file(regdb_root):
    (regdb_root / "idx" / "test_thermal_1.txt").write_bytes(b"\x80\x81\xff")
    assert "  - idx/test_thermal_1.txt cannot be read as text: " in text_of(regdb_root)


def test_missing_root(regdb_root):
    assert text_of(regdb_root.with_name("RegBD")) == (
        "the data folder ROOT does not exist; did you mean 'RegDB'?"
        "\n  DATA.ROOT is the folder that holds Visible, Thermal and idx."
        "\n  RegDB itself is distributed by its authors on request, with the ten splits in idx;"
        "\n  tools/make_synthetic.py --layout regdb --out DIR writes a synthetic dataset of the same form"
    )


def test_one_folder_too_high_or_too_low_or_another_layout(regdb_root, tmp_path):
    assert text_of(tmp_path) == (
        "ROOT holds no Visible, Thermal and idx, but its folder 'RegDB' does: set DATA.ROOT to ROOT/RegDB"
    )
    assert text_of(regdb_root / "idx") == f"ROOT is a part of RegDB: set DATA.ROOT to {regdb_root}"
    (tmp_path / "other" / "visibel").mkdir(parents=True)
    assert text_of(tmp_path / "other") == (
        "ROOT does not have the layout of RegDB: it holds no Visible, Thermal and idx (it holds visibel);"
        " did you mean 'Visible'?"
    )
    (regdb_root / "Visible").rename(regdb_root / "visible")
    assert "\n  - the folder Visible is missing; unpack the whole archive; did you mean 'visible'?\n" in text_of(
        regdb_root
    )


def test_attributes_go_by_the_number_of_the_folder(regdb_root, tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("identity,hat,bag\n" + "".join(f"{p},{p % 2},\n" for p in range(1, 7)))
    data = RegDB(root=str(regdb_root), attributes=str(table))
    assert data.placeholder.num_attributes == 8
    assert data.facts().num_attributes == 2
    for samples in (data.train(), data.test()):
        assert all(s.attributes == (int(s.path.parent.name) % 2, -1) for s in samples)
    table.write_text("identity,hat\n1,0\n2,1\n3,1\n4,0\n6,1\n99,1\n")
    with pytest.raises(DataError) as caught:
        RegDB(root=str(regdb_root), attributes=str(table)).train()
    assert str(caught.value).startswith(
        f"{regdb_root} cannot be used as RegDB, split 1 (2 faults):\n  - attributes {table}: "
    )
    assert "no row for identity 5" in str(caught.value)
    table.unlink()
    with pytest.raises(DataError, match=r"\(1 fault\):\n  - the attributes .*people.csv do not exist"):
        RegDB(root=str(regdb_root), attributes=str(table)).train()


def test_what_no_index_file_names_is_counted(regdb_root):
    assert len(RegDB(root=str(regdb_root)).listing().left_out) == 0  # images of split 2 are named by its files
    for name in ("Visible/1/new.webp", "Thermal/77/t.bmp", "Visible/1/.v_9.bmp", "Thermal/1/notes.txt"):
        (regdb_root / name).parent.mkdir(exist_ok=True)
        (regdb_root / name).touch()
    left_out = RegDB(root=str(regdb_root)).listing().left_out
    assert {why: [p.relative_to(regdb_root).as_posix() for p in paths] for why, paths in left_out.paths.items()} == {
        "image that no index file names": ["Visible/1/new.webp", "Thermal/77/t.bmp"],
        "hidden file": ["Visible/1/.v_9.bmp"],
        "suffix .txt is not an image": ["Thermal/1/notes.txt"],
    }


def test_images_behind_links_are_named_all_the_same(regdb_root, tmp_path):
    (regdb_root / "Thermal").rename(tmp_path / "elsewhere")
    (regdb_root / "Thermal").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "1" / "up").symlink_to(tmp_path / "elsewhere")
    data = RegDB(root=str(regdb_root))
    assert len(data.test()) == 12
    assert len(data.listing().left_out) == 0


@pytest.mark.parametrize("on_disk", ["decomposed", "composed"])
def test_names_in_another_unicode_form_are_found(regdb_root, on_disk):
    forms = {"decomposed": "e\u0301t\u00e9".replace("\u00e9", "e\u0301"), "composed": "\u00e9t\u00e9"}
    other = next(form for name, form in forms.items() if name != on_disk)
    for folder in ("Visible", "Thermal"):
        (regdb_root / folder / "4").rename(regdb_root / folder / forms[on_disk])
        for split, part in ((1, "train"), (2, "test")):
            file = regdb_root / "idx" / f"{part}_{folder.lower()}_{split}.txt"
            file.write_text(file.read_text().replace(f"{folder}/4/", f"{folder}/{other}/"), encoding="utf-8")
    data = RegDB(root=str(regdb_root))
    assert {s.path.parent.name for s in data.train()} == {forms[on_disk], "1", "6"}
    assert all(sample.path.is_file() for sample in data.train())
    assert len(data.listing().left_out) == 0


def test_labels_beyond_64_bits(regdb_root):
    file = regdb_root / "idx" / "test_thermal_1.txt"
    file.write_text(file.read_text().replace(" 0\n", " 9223372036854775808\n"))
    assert "idx/test_thermal_1.txt, line 1: the label '9223372036854775808' has 19 digits; 18 are the most that" in (
        text_of(regdb_root)
    )
    file.write_text(file.read_text().replace(" 9223372036854775808\n", " 000000000000000000000999999999999999999\n"))
    assert {s.identity for s in RegDB(root=str(regdb_root)).test()} == {0, 1, 2, 999999999999999999}


@pytest.mark.parametrize("people", [1, 2, 3])
def test_few_identities_with_one_image_each(regdb_root, people):
    for part, numbers in (("train", (4, 1, 6)), ("test", (2, 3, 5))):
        for folder in ("Visible", "Thermal"):
            rows = [f"{folder}/{p}/{folder[0].lower()}_1.bmp {n}" for n, p in enumerate(numbers[:people])]
            (regdb_root / "idx" / f"{part}_{folder.lower()}_1.txt").write_text("\n".join(rows))
    data = RegDB(root=str(regdb_root))
    assert (len(data.train()), len(data.test()), data.facts().num_ids) == (2 * people, 2 * people, people)


def test_a_test_image_that_is_a_training_image_by_another_path(regdb_root):
    train, test = (regdb_root / "idx" / f"{part}_visible_1.txt" for part in ("train", "test"))
    folder, _, name = train.read_text().split()[0].rpartition("/")
    (regdb_root / "Visible" / "again").symlink_to(regdb_root / folder, target_is_directory=True)
    test.write_text(test.read_text() + f"{folder}/./{name} 0\nVisible/again/{name} 0\n")
    with pytest.raises(DataError) as caught:
        RegDB(root=str(regdb_root)).train()
    assert str(caught.value).count("is also listed in idx/train_visible_1.txt, line 1") == 2
