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
    assert "0 images added, 30 were there" in capsys.readouterr().out
    assert tool("info", gallery) == 0
    said = capsys.readouterr().out
    for line in ("model       projection 0", "index       TorchExact", "images      30", "identity    10 different"):
        assert line in said
    assert "time        100 to 309" in said


def test_ranked_lists_in_three_forms(tool, gallery, photos, tmp_path, capsys):
    places = [tmp_path / f"out.{kind}" for kind in ("json", "csv", "html")]
    words = ["search", gallery, "--config-file", "x.yml", "--images", photos / "2_3.png", "--modality", "infrared"]
    filters = ["--modality-of-answers", "visible", "--camera", 2, "--after", "150", "--top", 3]
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
        (["--modality-of-answers", "visble"], "did you mean 'visible'"),
        (["--after", "noon"], "time 'noon' is neither seconds nor a date"),
        (["--out", "found.xml"], "ends in one of .json, .csv, .html"),
        (["--camera", "7"], "no image of the gallery passes"),
        (["--top", "0"], "k must be at least 1, got 0"),
    ],
)
def test_mistakes_are_one_text(tool, gallery, photos, capsys, words, text):
    base = ["search", gallery, "--config-file", "x.yml", "--images", photos / "2_3.png", "--modality", "infrared"]
    assert tool(*base, *words) == 2
    assert text in capsys.readouterr().err
