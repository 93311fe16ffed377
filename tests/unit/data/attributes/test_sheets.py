from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest

from vireid.core.errors import DataError
from vireid.data.attributes import UNKNOWN, read_attributes


def csv(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    place = tmp_path / "table.csv"
    place.write_text(text, encoding=encoding)
    return place


def xlsx(tmp_path: Path, *lines: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for line in lines:
        book.worksheets[0].append(line)
    book.create_sheet("another").append(["nothing"])
    book.save(tmp_path / "table.xlsx")
    return tmp_path / "table.xlsx"


def faults(place: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        read_attributes(place)
    assert caught.value.text == f"{place} cannot be used as attributes (DATA.ATTRIBUTES)"
    return [str(finding) for finding in caught.value.findings]


def test_identity_level_with_gaps(tmp_path: Path) -> None:
    table = read_attributes(csv(tmp_path, "\ufeffidentity,bag,hat\n0005,1,\n12, 0 ,1\n\n7,,\n"))
    assert table.names == ("bag", "hat")
    assert table.rows == {(None, 5): (1, UNKNOWN), (None, 12): (0, 1), (None, 7): (UNKNOWN, UNKNOWN)}
    assert table.places[None, 7] == "line 5"
    assert not table.by_camera
    assert table.lookup(3, 5) == (1, UNKNOWN)
    assert table.lookup(3, 7) is None  # nothing is known: the same as no annotation
    values, known = table.arrays()
    assert values.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert known.tolist() == [[True, False], [True, True], [False, False]]


def test_a_row_of_a_camera_wins_over_the_one_of_all_cameras(tmp_path: Path) -> None:
    table = read_attributes(csv(tmp_path, "camera,bag,identity\n,0,5\n2,1,5\n3,1,6\n"))
    assert [table.lookup(camera, 5) for camera in (1, 2)] == [(0,), (1,)]
    assert [table.lookup(camera, 6) for camera in (1, 3)] == [None, (1,)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators(tmp_path: Path, separator: str) -> None:
    text = "identity,bag\n5,1\n".replace(",", separator)
    assert read_attributes(csv(tmp_path, text)).rows == {(None, 5): (1,)}


def test_a_spreadsheet_says_the_same_as_csv(tmp_path: Path) -> None:
    place = xlsx(tmp_path, ["identity", "camera", "bag", "hat"], ["0005", 1, 1, None], [12, None, 0.0, "1"], [None])
    expected = read_attributes(csv(tmp_path, "identity,camera,bag,hat\n5,1,1,\n12,,0,1\n"))
    assert read_attributes(place).rows == expected.rows
    assert read_attributes(place).names == expected.names


def test_every_faulty_cell_is_named(tmp_path: Path) -> None:
    text = "identity,camera,bag,hat\n5,1,2,yes\nx,1,0,1\n7,-1,0,1\n5,1,1\n8,1,1,1\n8,1,0,1\n9,,1,1\n9,,1,1\n"
    assert faults(csv(tmp_path, text)) == [
        "line 2, column bag: '2' is not 0, 1 or empty",
        "line 2, column hat: 'yes' is not 0, 1 or empty",
        "line 3, column identity: 'x' is not an integer",
        "line 4, column camera: '-1' is negative; labels are integers from 0",
        "line 5: 3 cells, but line 1 names 4 columns",
        "line 7: identity 8 in camera 1 is already in line 6",
        "line 9: identity 9 is already in line 8",
    ]


def test_many_faulty_cells_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_attributes(csv(tmp_path, "identity,bag\n" + "".join(f"{n},x\n" for n in range(30))))
    assert [finding.place for finding in caught.value.findings] == [f"line {n}, column bag" for n in range(2, 32)]
    assert str(caught.value).endswith("\n    ... and 20 more such cells")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["line 1: no column is named identity (columns: none)"]),
        ("identy,bag\n5,1\n", ["line 1: no column is named identity; did you mean 'identy'? (columns: identy, bag)"]),
        ("identity,camera\n5,1\n", ["line 1: no column of an attribute besides identity and camera"]),
        (
            "identity,bag,,Bag\n5,1,1,1\n",
            ["line 1: columns without a name: 3", "line 1: names of more than one column: Bag, bag"],
        ),
        ("identity,bag\n", ["there is no line below the names of the columns"]),
    ],
)
def test_faulty_headers(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(csv(tmp_path, text)) == expected


def test_formulas_and_cells_outside_the_columns_are_refused(tmp_path: Path) -> None:
    place = xlsx(tmp_path, ["identity", "bag"], [5, "=1+0"], [6, 1, "remark"], [7, True])
    assert faults(place) == [
        "line 2, column bag: '=1+0' is not 0, 1 or empty",
        "line 3: 3 cells, but line 1 names 2 columns",
        "line 4, column bag: 'True' is not 0, 1 or empty",
    ]


def unreadable(place: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_attributes(place)
    return str(caught.value).removeprefix(f"{place} cannot be read as attributes (DATA.ATTRIBUTES): ")


def test_files_of_another_kind(tmp_path: Path) -> None:
    assert unreadable(csv(tmp_path, "identity,s\u00e4ck\n5,1\n", encoding="latin-1")).startswith("not UTF-8 text (")
    assert unreadable(csv(tmp_path, 'identity,bag\n5,"1"x\n')).startswith("not a CSV file (")
    (tmp_path / "table.xlsx").write_bytes(b"PK\x03\x04 nothing")
    assert unreadable(tmp_path / "table.xlsx").startswith("not an .xlsx file that can be read (")
    assert unreadable(tmp_path / "absent.csv").startswith(f"the attributes {tmp_path}/absent.csv do not exist;")


def test_the_sheet_of_the_release_is_known_by_its_shape(tmp_path: Path) -> None:
    numbers = [6, *range(10, 104), 333]
    lines = [["ID", *["\u80cc\u5305"] * 26], *([f"{n:04d}", *[1] * 26] for n in numbers)]
    place = xlsx(tmp_path, *lines)
    assert "the PAENet release holds no attributes of RegDB" in unreadable(place)
    place = xlsx(tmp_path, *lines[:-1])
    assert "no column is named identity" in unreadable(place)


def test_numbers_beyond_64_bits(tmp_path: Path) -> None:
    place = csv(tmp_path, f"identity,bag\n123456789012345678901,1\n{'7' * 5000},1\n{'0' * 5000}7,1\n")
    first, second = faults(place)
    assert first.startswith("line 2, column identity: '123456789012345678901' is larger than 9223372036854775807")
    assert second.startswith(f"line 3, column identity: '{'7' * 30}")
    assert len(second) < 300


def test_sheets_that_are_not_read_are_named(tmp_path: Path) -> None:
    place = xlsx(tmp_path, ["identity", "bag"], [5, 1])
    book = openpyxl.load_workbook(place)
    book.create_sheet("empty")
    book.create_sheet("zeros").append([0])
    book.save(place)
    assert read_attributes(place).unread == ("sheet 'another' of the attributes", "sheet 'zeros' of the attributes")
    assert read_attributes(csv(tmp_path, "identity,bag\n5,1\n")).unread == ()
