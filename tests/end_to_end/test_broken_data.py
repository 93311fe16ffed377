"""Broken data in many ways: each is one clear text, in training and in the report, and nothing is lost."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from vireid.core.errors import DataError
from vireid.data.attributes import read_attributes
from vireid.data.images.decode import mode_fault

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "demo" / "sysu_mmd.yml")
FLAWED = "{root} cannot be used as SYSU-MM01 ({count}):"


def tool(name: str) -> Callable[[list[str]], int]:
    spec = importlib.util.spec_from_file_location(f"vireid_tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@dataclass
class Broken:
    """Settings with which the tools run, the head of the error, and the faults under it."""

    head: str
    faults: list[str]
    settings: dict[str, object]


def flawed(root: Path, *faults: str, **settings: object) -> Broken:
    count = f"{len(faults)} fault" + "s" * (len(faults) > 1)
    return Broken(FLAWED.format(root=root, count=count), list(faults), {"ROOT": root, **settings})


def images(root: Path, which: str) -> list[Path]:
    return sorted(root.glob(f"{which}/*.jpg"))


def no_root(root: Path) -> Broken:
    shutil.rmtree(root)
    (root.parent / "syzu").mkdir()
    text = (
        f"the data folder {root} does not exist; did you mean 'syzu'?"
        "\n  DATA.ROOT is the folder that holds cam1 .. cam6 and exp."
        "\n  SYSU-MM01 itself is distributed by its authors after a signed agreement;"
        "\n  tools/make_synthetic.py --layout sysu --out DIR writes a synthetic dataset of the same form"
    )
    return Broken("", [text], {"ROOT": root})


def one_level_off(root: Path) -> Broken:
    text = f"{root.parent} holds no cam1 .. cam6, but its folder 'sysu' does: set DATA.ROOT to {root}"
    return Broken("", [text], {"ROOT": root.parent})


def camera_missing(root: Path) -> Broken:
    shutil.rmtree(root / "cam4")
    return flawed(
        root,
        "cam4 missing; unpack the whole archive (a camera that is meant to be without images needs an empty folder)",
    )


def test_folder_empty(root: Path) -> Broken:
    identity = (root / "exp" / "test_id.txt").read_text().split(",")[0].strip().zfill(4)
    folder = sorted(root.glob(f"cam[1245]/{identity}"))[0]
    for file in folder.iterdir():
        file.unlink()
    return flawed(
        root,
        f"test folders without an image, from which the gallery would be drawn: {folder.relative_to(root)};"
        " remove them (a missing folder is allowed) or fill them",
    )


test_folder_empty.__test__ = False


def unusable(root: Path, fault: str, *files: Path) -> Broken:
    faults = [f"{file}: {fault}" for file in sorted(files)]
    total = len(train_images(root))
    count = f"{len(files)} fault" + "s" * (len(files) > 1)
    head = f"{len(files)} of {total} images cannot be used; replace or remove them ({count}):"
    return Broken(head, faults, {"ROOT": root})


def train_images(root: Path) -> list[Path]:
    names = ",".join((root / "exp" / f"{part}_id.txt").read_text().split("\n")[0] for part in ("train", "val"))
    return sorted(file for name in names.split(",") for file in images(root, f"cam*/{int(name):04d}"))


def image_truncated(root: Path) -> Broken:
    file = train_images(root)[0]
    file.write_bytes(file.read_bytes()[:-200])
    return unusable(root, "image file is truncated", file)


def image_empty(root: Path) -> Broken:
    file = train_images(root)[0]
    file.write_bytes(b"")
    return unusable(root, "the file is empty", file)


def image_is_text(root: Path) -> Broken:
    file = train_images(root)[0]
    file.write_text("<html>404 Not Found</html>")
    return unusable(root, "not an image", file)


def image_of_other_colours(root: Path) -> Broken:
    file = train_images(root)[0]
    Image.open(file).convert("CMYK").save(file)
    return unusable(root, mode_fault("CMYK"), file)


def link_to_nowhere(root: Path) -> Broken:
    file = train_images(root)[0]
    file.unlink()
    file.symlink_to(root / "gone.jpg")
    return unusable(root, "No such file or directory", file)


def identities_garbled(root: Path) -> Broken:
    (root / "exp" / "val_id.txt").write_text("5\n6:7\n")
    return flawed(root, "exp/val_id.txt, line 2: '6:7' is not an identity number (the line: '6:7')")


def identity_in_both_splits(root: Path) -> Broken:
    test, train = root / "exp" / "test_id.txt", root / "exp" / "train_id.txt"
    name = train.read_text().split(",")[0].strip()
    test.write_text(f"{name}," + test.read_text())
    return flawed(root, f"identities in both exp/train_id.txt and exp/test_id.txt: {int(name):04d}")


def identity_without_infrared(root: Path) -> Broken:
    name = (root / "exp" / "train_id.txt").read_text().split(",")[0].strip().zfill(4)
    for camera in (3, 6):
        shutil.rmtree(root / f"cam{camera}" / name, ignore_errors=True)
    return flawed(
        root,
        f"training identities without infrared images (cameras 3, 6): {name};"
        " complete them or remove them from exp/train_id.txt and exp/val_id.txt",
    )


def attributes_of_another_width(root: Path) -> Broken:
    place = root / "sysu_attribute"
    for camera in range(1, 7):
        savemat(place / f"cam{camera}_att.mat", {f"cam{camera}_att": np.zeros((7, 533), np.uint8)})
    return flawed(
        root,
        *(
            f"attributes {place}: cam{camera}_att.mat: cam{camera}_att has shape (7, 533), expected (8, identities)"
            for camera in range(1, 7)
        ),
        ATTRIBUTES=place,
    )


def attributes_in_a_cut_zip(root: Path) -> Broken:
    place = Path(shutil.make_archive(str(root.parent / "attributes"), "zip", root / "sysu_attribute"))
    place.write_bytes(place.read_bytes()[:-40])
    return flawed(
        root,
        f"the attributes {place} cannot be read (DATA.ATTRIBUTES): File is not a zip file;"
        " expected a folder, a zip, a .csv or .xlsx file",
        ATTRIBUTES=place,
    )


def attributes_of_strangers(root: Path) -> Broken:
    place = root.parent / "table.csv"
    place.write_text("identity,camera,bag\n9001,1,1\n9002,,0\n")
    people = people_of(root)
    return flawed(
        root,
        f"attributes {place}: it annotates none of the identities of the dataset: rows are for 9001, 9002,"
        f" images are of {', '.join(map(str, people[:5]))}, ... ({len(people)} in all);"
        " is it the table of another dataset?",
        ATTRIBUTES=place,
    )


def attributes_of_other_values(root: Path) -> Broken:
    place = root / "sysu_attribute"
    values = np.zeros((8, 533), np.uint8)
    values[3, 5] = 2
    savemat(place / "cam2_att.mat", {"cam2_att": values})
    return flawed(
        root,
        f"attributes {place}: cam2_att.mat: 1 value other than 0 and 1, first 2 in row 4, column 6"
        " (attribute long_sleeves, identity 6)",
        ATTRIBUTES=place,
    )


def people_of(root: Path) -> list[int]:
    lists = [(root / "exp" / f"{part}_id.txt").read_text().split("\n")[0] for part in ("train", "val", "test")]
    return sorted(int(name) for line in lists for name in line.split(","))


def attributes_in_a_faulty_table(root: Path) -> Broken:
    """Another number of cells, a value that is none, and a person twice."""
    place = root.parent / "table.csv"
    rows = [f"{person},,1,0\n" for person in people_of(root)]
    rows[0], rows[1] = rows[0].replace("1,0", "1"), rows[1].replace("1,0", "2,0")
    place.write_text("identity,camera,bag,hat\n" + "".join(rows) + rows[2])
    again = f"line {len(rows) + 2}: identity {people_of(root)[2]} is already in line 4"
    faults = [
        "line 2: 3 cells, but line 1 names 4 columns",
        "line 3, column bag: '2' is not 0, 1 or empty",
        again,
    ]
    return flawed(root, *(f"attributes {place}: {fault}" for fault in faults), ATTRIBUTES=place)


def attributes_of_some_and_of_a_stranger(root: Path) -> Broken:
    place = root.parent / "table.csv"
    lost, *rest = people_of(root)
    place.write_text("identity,bag\n" + "".join(f"{person},1\n" for person in [*rest, 9001]))
    return flawed(
        root,
        f"attributes {place}: no row for identity {lost}, of which there are images; add the rows,"
        " with empty cells for values that are not annotated",
        f"attributes {place}: rows of identities that the dataset does not have: line {len(rest) + 2}"
        " (identity 9001); correct or remove them",
        ATTRIBUTES=place,
    )


def attributes_that_are_not_of_regdb(root: Path) -> Broken:
    """A sheet of the form of the released `label_finished.xlsx`, given for RegDB."""
    import openpyxl

    data, place = regdb(root), root.parent / "label_finished.xlsx"
    book = openpyxl.Workbook()
    book.worksheets[0].append(["ID", *["\u80cc\u5305"] * 26])
    for person in [6, *range(10, 104), 333]:
        book.worksheets[0].append([f"{person:04d}", *[1] * 26])
    book.save(place)
    words = (
        r"holds no attributes of\s+RegDB.* which are the test identities of SYSU-MM01 and not the 412 persons of RegDB"
    )
    with pytest.raises(DataError, match=words) as refused:
        read_attributes(place)
    fault = str(refused.value)
    settings = {"NAME": "RegDB", "ROOT": data, "ATTRIBUTES": place}
    return Broken(f"{data} cannot be used as RegDB, split 1 (1 fault):", [fault], settings)


def regdb(root: Path) -> Path:
    """A RegDB of four training and two test people, its first trial only."""
    for modality in ("Visible", "Thermal"):
        for person in range(1, 7):
            folder = root / "regdb" / modality / str(person)
            folder.mkdir(parents=True)
            for number in (1, 2):
                Image.new("RGB", (8, 16), (40 * person, 100 * number, len(modality))).save(folder / f"{number}.bmp")
    (root / "regdb" / "idx").mkdir()
    for part, people in (("train", range(1, 5)), ("test", range(5, 7))):
        for modality in ("Visible", "Thermal"):
            lines = [
                f"{modality}/{person}/{number}.bmp {label}\n"
                for label, person in enumerate(people)
                for number in (1, 2)
            ]
            (root / "regdb" / "idx" / f"{part}_{modality.lower()}_1.txt").write_text("".join(lines))
    return root / "regdb"


def index_points_outside(root: Path) -> Broken:
    data = regdb(root)
    index = data / "idx" / "train_visible_1.txt"
    index.write_text(index.read_text() + f"../cam1/x.jpg 3\n{root}/y.bmp 3\nVisible/9/1.bmp 3\n")
    place = "idx/train_visible_1.txt, line"
    faults = [
        f"{place} 9: ../cam1/x.jpg points outside of the data folder; paths are relative to it",
        f"{place} 10: {root}/y.bmp points outside of the data folder; paths are relative to it",
        f"{place} 11: Visible/9/1.bmp does not exist: there is no folder 9",
    ]
    return Broken(f"{data} cannot be used as RegDB, split 1 (3 faults):", faults, {"NAME": "RegDB", "ROOT": data})


def arrays_of_another_size(root: Path) -> Broken:
    place = root.parent / "arrays"
    place.mkdir()
    for word in ("rgb", "ir"):
        np.save(place / f"train_{word}_resized_img.npy", np.zeros((16, 128, 64, 3), np.uint8))
        np.save(place / f"train_{word}_resized_label.npy", np.arange(16) % 8)
    faults = [
        f"{place}/train_{word}_resized_img.npy holds images of 128 x 64 (height x width), but SIZE is 64 x 32:"
        " set SIZE to [128, 64], or use the image files"
        for word in ("rgb", "ir")
    ]
    settings = {"NAME": "SysuArrays", "ROOT": root, "ARRAYS": place}
    return Broken("arrays of images cannot be used (2 faults):", faults, settings)


def folder_without_permission(root: Path) -> Broken:
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every folder: run the tests as another user")
    folder = sorted((root / "cam1").iterdir())[0]
    folder.chmod(0)
    return flawed(root, f"folders that cannot be listed: {folder} (Permission denied); change their permissions")


def everything_at_once(root: Path) -> Broken:
    parts = [camera_missing(root), identities_garbled(root), attributes_of_another_width(root)]
    return flawed(root, *(fault for part in parts for fault in part.faults), ATTRIBUTES=root / "sysu_attribute")


CASES = [
    no_root,
    one_level_off,
    camera_missing,
    test_folder_empty,
    image_truncated,
    image_empty,
    image_is_text,
    image_of_other_colours,
    link_to_nowhere,
    identities_garbled,
    identity_in_both_splits,
    identity_without_infrared,
    attributes_of_another_width,
    attributes_in_a_cut_zip,
    attributes_of_strangers,
    attributes_of_other_values,
    attributes_in_a_faulty_table,
    attributes_of_some_and_of_a_stranger,
    attributes_that_are_not_of_regdb,
    index_points_outside,
    arrays_of_another_size,
    folder_without_permission,
    everything_at_once,
]


def contents(folder: Path) -> dict[str, int]:
    return {str(file): file.lstat().st_size for file in sorted(folder.rglob("*"))}


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def broken(request, people, tmp_path):
    """A copy of the people, broken in one way; the folder is as broken afterwards, not more."""
    root = tmp_path / "data" / "sysu"
    shutil.copytree(people, root)
    case = request.param(root)
    before = contents(tmp_path / "data")
    yield case
    assert contents(tmp_path / "data") == before
    for folder in (tmp_path / "data").rglob("*"):
        if folder.is_dir():
            folder.chmod(0o755)


def overrides(case: Broken, out: Path) -> list[str]:
    settings = {f"DATA.{key}": value for key, value in case.settings.items()}
    settings |= {"SIZE": "[64, 32]", "OUTPUT_DIR": out / "run", "CACHE_DIR": out / "cache"}
    return [str(word) for pair in settings.items() for word in pair]


def test_training_says_what_is_wrong_and_stops(broken: Broken, tmp_path: Path, capsys) -> None:
    assert tool("train_net")(["--config-file", CONFIG, *overrides(broken, tmp_path)]) == 2
    captured = capsys.readouterr()
    expected = [broken.head, *(f"  - {fault}" for fault in broken.faults)] if broken.head else broken.faults
    assert captured.err == "error: " + "\n".join(expected) + "\n"
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_the_report_has_every_fault_and_exit_code_1(broken: Broken, tmp_path: Path, capsys) -> None:
    arguments = ["--config-file", CONFIG, "--json", str(tmp_path / "report.json")]
    assert tool("check_data")([*arguments, *overrides(broken, tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    _, listing = captured.out.split("\nTraining cannot work:\n")
    for fault in broken.faults:
        indented = fault.replace("\n", "\n      ")
        assert f"    - {indented}\n" in listing
    count = f"{len(broken.faults)} fault" + "s" * (len(broken.faults) > 1)
    assert f"\n{count}: training cannot work." in captured.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["usable"]
    assert [line for finding in report["faults"] for line in finding["lines"]] == broken.faults
    assert not (tmp_path / "run").exists()
