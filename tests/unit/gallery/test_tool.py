from __future__ import annotations

import csv
import json

import pytest


@pytest.fixture
def gallery(tool, photos, tmp_path):
    folder = tmp_path / "g"
    assert (
        tool("build", folder, "--config-file", "x.yml", "--images", photos / "list.csv", "--index", "TorchExact") == 0
    )
    return folder


def test_build_add_info(tool, gallery, photos, capsys):
    assert tool("add", gallery, "--config-file", "x.yml", "--images", photos, "--modality", "visible") == 0
    assert "0 images added, 30 already in the gallery" in capsys.readouterr().out
    assert tool("info", gallery) == 0
    said = capsys.readouterr().out
    for line in ("model       projection 0", "index       TorchExact", "images      30", "identity    10 different"):
        assert line in said
    assert "time        100 to 309" in said


def test_ranked_lists_in_three_forms(tool, gallery, photos, tmp_path, capsys):
    places = [tmp_path / f"out.{kind}" for kind in ("json", "csv", "html")]
    words = ["search", gallery, "--config-file", "x.yml", "--images", photos / "2_3.png", "--modality", "infrared"]
    filters = ["--gallery-modality", "visible", "--camera", 2, "--after", "150", "--top", 3]
    assert tool(*words, *filters, *(word for place in places for word in ("--out", place))) == 0
    capsys.readouterr()
    answers = json.loads(places[0].read_text())["queries"][0]["answers"]
    assert [answer["camera"] for answer in answers] == [2, 2, 2]
    assert answers[0]["identity"] == 2
    with places[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [answer["path"] for answer in answers]
    page = places[2].read_text()
    assert page.count("<figure") == 4
    assert "http" not in page.replace("http-equiv", "")
    assert tool(*words, "--top", 1) == 0
    assert capsys.readouterr().out.startswith("query,rank,score,path,identity,camera,modality,time\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--gallery-modality", "visble"], "did you mean 'visible'"),
        (["--after", "noon"], "time 'noon' is neither seconds nor a date"),
        (["--out", "found.xml"], "ends in one of .json, .csv, .html"),
        (["--camera", "7"], "no image of the gallery passes camera 7: its cameras are 1, 2, 3"),
        (["--camera", "1", "--camera", "9"], "no image of the gallery passes camera 9: its cameras are 1, 2, 3"),
        (["--camera", "9", "--after", "100"], "no image of the gallery passes camera 9: its cameras are 1, 2, 3"),
        (["--camera", str(2**63)], "camera 9223372036854775808 is larger than"),
        (["--camera", "c1"], "camera 'c1' is not an integer"),
        (["--after", "400"], "no image of the gallery passes after 400: its times are 100 to 309"),
        (["--before", "2024-05-31", "--after", "2025-05-31"], "no time is after 1748649600 and before 1717113600"),
        (["--before", "99"], "no image of the gallery passes before 99: its times are 100 to 309"),
        (
            ["--camera", "1", "--gallery-modality", "infrared"],
            "no image of the gallery passes all conditions together (camera 1, modality infrared)",
        ),
        (["--top", "0"], "k must be at least 1, got 0"),
    ],
)
def test_mistakes_are_one_text(tool, gallery, photos, capsys, words, text):
    base = ["search", gallery, "--config-file", "x.yml", "--images", photos / "2_3.png", "--modality", "infrared"]
    assert tool(*base, *words) == 2
    assert text in capsys.readouterr().err


def test_images_without_the_wanted_modality(tool, photos, tmp_path, capsys):
    words = ["--config-file", "x.yml", "--images", photos / "2_1.png", "--modality", "visible"]
    assert tool("build", tmp_path / "g", *words) == 0
    assert tool("search", tmp_path / "g", *words, "--gallery-modality", "infrared") == 2
    assert "no image of the gallery passes modality infrared: its modalities are visible" in capsys.readouterr().err
    assert tool("search", tmp_path / "g", *words, "--camera", 1) == 2
    assert "no image of the gallery passes camera 1: no camera is recorded" in capsys.readouterr().err
    assert tool("search", tmp_path / "g", *words, "--after", 1) == 2
    assert "no image of the gallery passes after 1: no time is recorded" in capsys.readouterr().err


def test_what_is_left_out_is_reported_by_every_action(tool, photos, tmp_path, capsys):
    (photos / "notes.txt").write_text("x")
    words = ["--config-file", "x.yml", "--images", photos, "--modality", "visible"]
    text = f"1 left out: suffix .txt is not an image ({photos / 'notes.txt'})"
    for action in ("build", "add"):
        assert tool(action, tmp_path / "g", *words, "--camera", "4.0") == 0
        assert text in capsys.readouterr().out
    out = tmp_path / "found.json"
    assert tool("search", tmp_path / "g", *words, "--top", 1, "--out", out) == 0
    assert text in capsys.readouterr().err
    assert text in json.loads(out.read_text())["conditions"]["queries"]


def test_images_without_a_time_are_counted_where_the_time_is_a_condition(tool, photos, tmp_path, capsys):
    words = ["--config-file", "x.yml", "--modality", "visible"]
    lines = (photos / "list.csv").read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ","
    (photos / "list.csv").write_text("\n".join(lines))
    assert tool("build", tmp_path / "g", *words, "--images", photos / "list.csv") == 0
    assert tool("search", tmp_path / "g", *words, "--images", photos / "2_1.png", "--after", 200) == 0
    assert "time: 1 images without a time are left out" in capsys.readouterr().err


def test_home_in_every_path(tool, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--config-file", "~/x.yml", "--images", "~/photos", "--modality", "visible"]
    assert tool("build", "~/g", *words) == 0
    assert tool("add", "~/g", *words) == 0
    assert "0 images added, 30 already in the gallery" in capsys.readouterr().out
    assert tool("search", "~/g", *words, "--out", "~/found.json") == 0
    assert tool("info", "~/g") == 0
    assert {"g", "found.json"} <= {path.name for path in tmp_path.iterdir()}


def test_refresh(tool, gallery, photos, capsys):
    content = (photos / "0_2.png").read_bytes()
    (photos / "0_1.png").write_bytes(content)
    words = ["--config-file", "x.yml", "--images", photos / "list.csv"]
    assert tool("add", gallery, *words) == 0
    assert "1 images changed since embedded; their old embeddings are kept, --refresh" in capsys.readouterr().out
    assert tool("add", gallery, *words, "--refresh") == 0
    assert "1 images embedded again; their earlier embeddings are no longer found" in capsys.readouterr().out
