from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.csv import CsvDataset
from vireid.data.listing import list_dataset

GOOD = """path,identity,camera,modality,split
a/1.jpg,7,1,visible,train
a/2.jpg,7,3,infrared,train
a/3.jpg,4,1,RGB,train
a/4.jpg,4,3,thermal,train
b/5.png,12,2,vis,test
b/6.png,12,3,nir,test
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    for file in ("a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg", "b/5.png", "b/6.png"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


@pytest.fixture
def read(root):
    """Build a dataset of a CSV text; further arguments are those of the class."""

    def make(text: str = GOOD, **arguments) -> CsvDataset:
        (root / "images.csv").write_text(text, encoding="utf-8")
        return CsvDataset(**{"root": str(root), "file": "images.csv", **arguments})

    return make


def faults_of(data: CsvDataset) -> list[str]:
    with pytest.raises(DataError) as caught:
        data.train()
    names = " and ".join(str(data.root / name) for name in data.files.values())
    assert caught.value.text == f"{names} cannot be used as a dataset"
    return [str(finding) for finding in caught.value.findings]


def test_a_file_becomes_two_lists(read, root):
    data = read()
    vis, nir = Modality.VISIBLE, Modality.INFRARED
    assert data.train() == [
        Sample(root / "a/1.jpg", 1, vis, 1),
        Sample(root / "a/2.jpg", 1, nir, 3),
        Sample(root / "a/3.jpg", 0, vis, 1),
        Sample(root / "a/4.jpg", 0, nir, 3),
    ]
    assert data.test() == [Sample(root / "b/5.png", 12, vis, 2), Sample(root / "b/6.png", 12, nir, 3)]
    assert data.facts() == DatasetInfo(num_ids=2, num_cameras=3)
    assert data.checkpoint_key == {"data": "CsvDataset", "file": "images.csv"}


def test_a_file_for_each_split_needs_no_column(root):
    lines = GOOD.splitlines()
    for name, rows in (("train.csv", lines[1:5]), ("test.csv", lines[5:])):
        (root / name).write_text("\n".join(row.rsplit(",", 1)[0] for row in (lines[0], *rows)))
    data = CsvDataset(root=str(root), train="train.csv", test="test.csv")
    assert [s.identity for s in data.train()] == [1, 1, 0, 0]
    assert [s.identity for s in data.test()] == [12, 12]
    assert data.checkpoint_key["file"] == "train.csv and test.csv"


def test_other_names_words_and_separators_and_unused_columns(read):
    text = GOOD.replace("path,identity,camera,modality,split", "File,person,camera,sensor,part,remark")
    text = text.replace("visible,", "tageslicht,").replace(",train\n", ",fit,x\n").replace(",test\n", ",exam,x\n")
    text += "nowhere.jpg,?,?,?,dropped,x\n"
    data = read(
        "\ufeff" + text.replace(",", ";"),
        columns={"PATH": "file", "identity": "person", "modality": "sensor", "split": "part"},
        modalities={"Tageslicht": "visible"},
        splits={"fit": "train", "exam": "test", "dropped": "none"},
    )
    assert data.train() == read().train()
    assert data.test() == read().test()


def test_names_are_numbered_in_sorted_order(read):
    text = GOOD.replace(",7,", ",mia,").replace(",4,", ",leo,").replace(",12,", ",noa,")
    for number, name in ((1, "door"), (2, "yard"), (3, "hall")):
        text = text.replace(f",{number},", f",{name},")
    data = read(text)
    assert [s.identity for s in data.train()] == [1, 1, 0, 0]
    assert [s.identity for s in data.test()] == [2, 2]
    assert [s.camera for s in (*data.train(), *data.test())] == [1, 2, 1, 2, 3, 2]


def test_times_and_attributes(read, root, tmp_path):
    lines = GOOD.splitlines()
    cells = [
        "time,hat,bag",
        "12.5,1,",
        "2024-05-31T10:20:30Z,0,1",
        ",,",
        "1970-01-01 00:01:00+01:00,1,1",
        "1,1,0",
        "2,0,0",
    ]
    text = "\n".join(f"{line},{more}" for line, more in zip(lines, cells))
    data = read(text, attribute_columns=("hat", "bag"))
    assert [s.time for s in data.train()] == [12.5, 1717150830.0, None, -3540.0]
    assert [s.attributes for s in data.train()] == [(1, -1), (0, 1), None, (1, 1)]
    assert data.facts().num_attributes == data.placeholder.num_attributes == 2
    table = tmp_path / "people.csv"
    table.write_text("identity,hat\n7,1\n4,0\n12,1\n")
    data = read(attributes=str(table))
    assert [s.attributes for s in data.train()] == [(1,), (1,), (0,), (0,)]
    assert data.facts().num_attributes == 1


def test_all_bad_lines_are_reported_with_suggestions(read):
    text = GOOD + (
        "a/1.jpg,7,1,visible,train\n"
        "a/7.jpg,7,1,visible,train\n"
        "c/5.png,12,2,visible,test\n"
        "a/2.jpg,7,1,infrarde,train\n"
        "\n"
        "a/3.jpg,7,1,visible,tran\n"
        "a/4.jpg,,1,visible,train\n"
        "a/4.jpg,7,1\n"
        "b/6.png,7,1,visible,train\n"
    )
    assert faults_of(read(text)) == [
        "images.csv:11: modality 'infrarde' is unknown; did you mean 'infrared'? (known: visible, vis, rgb, color,"
        " colour, infrared, ir, nir, thermal; DATA.MODALITIES adds words)",
        "images.csv:13: split 'tran' is unknown; did you mean 'train'? (known: train, test; DATA.SPLITS adds words)",
        "images.csv:14: the identity is empty",
        "images.csv:15: 3 cells, but line 1 names 5 columns",
        "images.csv:8: a/1.jpg is already listed in images.csv:2",
        "images.csv:9: a/7.jpg does not exist; did you mean '4.jpg'?",
        "images.csv:10: c/5.png does not exist: there is no folder c",
        "images.csv:16: b/6.png is already listed in images.csv:7",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("5.png,12,", "5.png,12x,", "images.csv:6: identity '12x' among integers; did you mean '12'?"),
        (
            "b/6.png,12,3",
            "b/6.png,7,3",
            "identities in both splits: 7 (images.csv:2, images.csv:7); an identity is for training or for test",
        ),
        ("thermal", "visible", "training identities without infrared images: 4; add images or remove the identities"),
        (",nir,", ",vis,", "no infrared image has the split test"),
        (
            "identity,",
            "indentity,",
            "images.csv:1: no column is named 'identity'; did you mean 'indentity'? (columns: ",
        ),
        ("identity,camera", "identity,identity", "images.csv:1: no column is named 'camera' (columns: "),
        ("camera,modality,split", "camera,modality,split,path", "images.csv:1: names of more than one column: path"),
    ],
)
def test_single_faults(read, old, new, fault):
    assert old in GOOD
    assert any(found.startswith(fault) for found in faults_of(read(GOOD.replace(old, new))))


def test_many_missing_files_are_counted_and_all_are_in_the_listing(read):
    text = GOOD + "".join(f"a/x{n}.jpg,7,1,visible,train\n" for n in range(30))
    with pytest.raises(DataError, match="and 20 more missing files"):
        read(text).train()
    findings = list_dataset(read(text)).findings
    assert [finding.place for finding in findings] == [f"images.csv:{n}" for n in range(8, 38)]
    assert {finding.kind for finding in findings} == {"missing files"}


@pytest.mark.parametrize(
    ("content", "arguments", "text"),
    [
        (GOOD, {"root": "mein"}, "mein does not exist (DATA.ROOT); did you mean 'mine'?"),
        (GOOD, {"file": "image.csv"}, "(DATA.FILE is relative to DATA.ROOT); did you mean 'images.csv'?"),
        ("\n", {}, "no column is named 'path' (columns: none); set DATA.COLUMNS.PATH to the right one"),
        (GOOD.splitlines()[0], {}, "images.csv: there is no line below the names of the columns"),
        (GOOD, {"columns": {"time": "when"}}, "images.csv:1: no column is named 'when' (columns: "),
        (GOOD, {"attribute_columns": ("hat",)}, "images.csv:1: no column is named 'hat' (columns: "),
        (GOOD + 'a/1.jpg,"7,1\n', {}, "images.csv, line 8: not CSV (unexpected end of data)"),
    ],
)
def test_faults_of_files_and_headers(read, root, content, arguments, text):
    data = read(content, **{**arguments, **({"root": str(root.parent / "mein")} if "root" in arguments else {})})
    with pytest.raises(DataError) as caught:
        data.test()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "give either file"),
        ({"file": "a.csv", "test": "b.csv"}, "give either file"),
        ({"train": "a.csv"}, "give either file"),
        ({"file": "a.csv", "columns": {"pth": "x"}}, "columns has no key 'pth'; did you mean 'path'?"),
        ({"file": "a.csv", "splits": {"val": "tests"}}, "splits maps 'val' to 'tests'; did you mean 'test'?"),
        ({"file": "a.csv", "modalities": {"0": "colour"}}, "modalities maps '0' to 'colour'"),
        ({"file": "a.csv", "attribute_columns": ("hat",), "attributes": "x.csv"}, "give either attribute_columns"),
    ],
)
def test_wrong_arguments(arguments, text):
    with pytest.raises(UserError) as caught:
        CsvDataset(**arguments)
    assert str(caught.value).startswith(text)


def test_floats_of_whole_numbers_are_those_numbers(read):
    """pandas writes a column of integers with a gap as 3.0, 6.0."""
    text = GOOD.replace("jpg,7,1,", "jpg,7.0,1.0,").replace("jpg,4,3,", "jpg,004,3.00,").replace("12,2,", "12.0,2,")
    assert text != GOOD
    data = read(text)
    assert data.train() == read().train()
    assert data.test() == read().test()
    assert data.camera_names == {}


def test_names_are_numbered_in_natural_order(read):
    text = GOOD
    for number, name in ((1, "c10"), (3, "c2"), (2, "c1")):
        text = text.replace(f",{number},", f",{name},")
    data = read(text.replace(",7,", ",p10,").replace(",4,", ",p9,").replace(",12,", ",p2,"))
    assert [s.camera for s in (*data.train(), *data.test())] == [3, 2, 3, 2, 1, 2]
    assert data.camera_names == {1: "c1", 2: "c2", 3: "c10"}
    assert [s.identity for s in data.train()] == [1, 1, 0, 0]  # p9 before p10
    assert list_dataset(data).camera_names == data.camera_names


def test_names_are_compared_in_one_unicode_form(read):
    text = GOOD.replace(",7,1,", ",caf\u00e9,h\u00f4f,").replace(",7,3,", ",cafe\u0301,3x,").replace(",3,", ",3x,")
    text = text.replace(",4,1,", ",leo,ho\u0302f,").replace(",4,", ",leo,").replace(",12,2,", ",noa,h\u00f4f,")
    data = read(text.replace(",12,", ",noa,"))
    assert [s.identity for s in data.train()] == [0, 0, 1, 1]
    assert data.camera_names == {1: "3x", 2: "h\u00f4f"}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("b/5.png,12,2", f"b/5.png,{'1' * 21},2", f"images.csv:6: identity '{'1' * 21}' is larger than {2**63 - 1}"),
        ("b/5.png,12,2", f"b/5.png,12,{'1' * 21}", f"images.csv:6: camera '{'1' * 21}' is larger than {2**63 - 1}"),
        ("b/5.png,12,2", f"b/5.png,{'9' * 5000},2", f"images.csv:6: identity '{'9' * 37}...' is larger than"),
        ("b/5.png,12,2", "b/5.png,-1,2", "images.csv:6: identity '-1' is negative; labels are integers from 0"),
        ("b/5.png,12,2", "b/5.png,12,-1.0", "images.csv:6: camera '-1.0' is negative"),
        ("b/5.png,12,2", "b/5.png,12,2.5", "images.csv:6: camera '2.5' is not an integer"),
        ("b/5.png,12,2", "b/5.png,1.2e+01,2", "images.csv:6: identity '1.2e+01' is written in scientific notation"),
        ("b/5.png,12,2", "b/5.png,nan,2", "images.csv:6: the identity is 'nan', which stands for a missing value"),
        ("b/5.png,12,2", "b/5.png,12,<NA>", "images.csv:6: the camera is '<NA>', which stands for a missing value"),
        ("b/5.png,12,2", "b/5.png,12,", "images.csv:6: the camera is empty"),
        ("b/5.png,12,2", "b/5.png,12,c2", "images.csv:6: camera 'c2' among integers"),
    ],
)  # fmt: skip
def test_invalid_labels_are_reported_with_their_line(read, old, new, fault):
    assert old in GOOD
    assert any(found.startswith(fault) for found in faults_of(read(GOOD.replace(old, new))))


@pytest.mark.parametrize(("left", "right"), [("mia", "Mia"), ("p01", "p1"), ("mia lu", "mialu")])
def test_names_that_differ_only_in_spelling_are_reported(read, left, right):
    text = GOOD.replace(",7,1,", f",{left},1,").replace(",7,3,", f",{right},3,")
    text = text.replace(",4,", ",leo,").replace(",12,", ",noa,")
    assert (
        f"images.csv:3: identity '{right}' and '{left}' (images.csv:2) differ only in case, blanks or leading zeros;"
        " write one of them everywhere" in faults_of(read(text))
    )


@pytest.mark.parametrize("value", [2**63 - 1, 0])
def test_the_extremes_of_64_bits_are_read(read, value):
    text = GOOD.replace(",12,2,", f",{value},{value},").replace(",12,3,", f",{value},{2**31},")
    data = read(text)
    assert [(s.identity, s.camera) for s in data.test()] == [(value, value), (value, 2**31)]
    assert list_dataset(data).findings == ()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            {"splits": {"fit": "train"}},
            "DATA.SPLITS: no line has the split 'fit' (words of the column split: test, train)",
        ),
        ({"splits": {"trains": "none"}}, "DATA.SPLITS: no line has the split 'trains'; did you mean 'train'?"),
        ({"modalities": {"day": "visible"}}, "DATA.MODALITIES: no line has the modality 'day' (words of the column"),
    ],
)
def test_words_that_occur_nowhere_are_faults(read, arguments, fault):
    assert any(found.startswith(fault) for found in faults_of(read(**arguments)))


@pytest.mark.parametrize("arguments", [{"splits": {"fit": "train"}}, {"columns": {"split": "part"}}])
def test_settings_of_the_split_column_need_one(arguments):
    with pytest.raises(UserError, match="have no effect with train and test"):
        CsvDataset(train="a.csv", test="b.csv", **arguments)


def test_attributes_as_pandas_writes_them(read):
    lines = [f"{line},{cell}" for line, cell in zip(GOOD.splitlines(), ["hat", "1.0", "0.0", "", "1", "0", "1.0"])]
    data = read("\n".join(lines), attribute_columns=("hat",))
    assert [s.attributes for s in (*data.train(), *data.test())] == [(1,), (0,), None, (1,), (0,), (1,)]


def test_an_image_that_is_listed_through_a_link_is_listed_twice(read, root):
    (root / "b/link.png").symlink_to(root / "a/1.jpg")
    (root / "c").symlink_to(root / "a", target_is_directory=True)
    text = GOOD + "b/link.png,12,2,vis,test\nc/2.jpg,12,3,nir,test\n"
    assert faults_of(read(text)) == [
        "images.csv:8: b/link.png is already listed in images.csv:2",
        "images.csv:9: c/2.jpg is already listed in images.csv:3",
    ]


def test_names_that_are_not_files_are_faults(read, root):
    (root / "b/link.png").symlink_to("gone.png")
    (root / "b/folder.png").mkdir()
    text = GOOD + "b/link.png,12,2,vis,test\nb/folder.png,12,3,nir,test\n"
    assert faults_of(read(text)) == [
        "images.csv:8: b/link.png is a link to gone.png, which does not exist",
        "images.csv:9: b/folder.png is a folder, not an image",
    ]
