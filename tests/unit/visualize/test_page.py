"""Report of a run: content, a single offline file, escaping, atomic replacement."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vireid.core.errors import UserError
from vireid.evaluation.report import ORACLE_NOTE
from vireid.runs.reading import read_run
from vireid.visualize import page
from vireid.visualize.rendering import read_static
from vireid.visualize.sections import SECTIONS, Pictures
from vireid.visualize.tiles import CORRECT_COLOR, INCORRECT_COLOR, QUERY_COLOR, Photographs

VOID = {"meta", "img", "source", "br"}
HEADINGS = ["Results", "Test identities", "Training", "CMC curve", "Ranked lists", "Environment", "Config"]


class Reader(HTMLParser):
    """What a browser would find: elements with attributes and text, in order; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {name: value or "" for name, value in attrs}, [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element[2].append(data)

    def texts(self, tag: str, **having: str) -> list[str]:
        return [
            "".join(text).strip()
            for name, attributes, text in self.elements
            if name == tag and having.items() <= attributes.items()
        ]

    def attributes(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]

    def tags(self) -> set[str]:
        return {name for name, _, _ in self.elements}


def read(run: Path, **options: Any) -> Reader:
    """The page of a run, as a reader finds it."""
    return Reader(page.write_report(run, **options).read_text(encoding="utf-8"))


def words(run: Path) -> str:
    """The page without its pictures, which take the time."""
    return page.html(read_run(run), Pictures(), Photographs())


def seen(run: Path) -> Reader:
    """The page that is there."""
    return Reader((run / "report.html").read_text(encoding="utf-8"))


def decode(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    kind = re.fullmatch(r"data:image/(jpeg|png);base64", head)
    assert kind
    image = Image.open(io.BytesIO(base64.b64decode(body, validate=True)))
    image.load()
    assert str(image.format).lower() == kind[1]
    return image


def test_structure(reported: Path) -> None:
    found = seen(reported)
    assert found.attributes("html") == [{"lang": "en"}]
    assert found.texts("h1") == ["tiny <script>alert(1)<"]
    assert found.texts("h2") == HEADINGS
    sections = found.attributes("section")
    assert [attributes["id"] for attributes in sections] == [
        name for name in SECTIONS if name != "open-set"
    ]  # the run has no such results
    ids = [attributes["id"] for _, attributes, _ in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in found.attributes("a"):
        assert link["href"].removeprefix("#") in ids
    for attributes in sections:
        assert attributes["aria-labelledby"] in ids


def test_table_equals_metrics(reported: Path) -> None:
    found, results = seen(reported), json.loads((reported / "metrics.json").read_text())["results"]
    cells = iter(found.texts("td"))
    for name in ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP"):
        for report in results.values():
            assert next(cells) == f"{100 * report['mean'][name]:.1f} ± {100 * report['spread'][name]:.1f}"
    stated = ["SYSU-MM01", "infrared to visible", "all", "indoor", "1", "2", "seeded", "features_bn", "none", "none"]
    for text in [*stated, "last epoch (3)", "float32", "7", "6 (1 without a correct match left out)"]:
        assert next(cells) == text
    rows = found.texts("th", scope="row")
    assert rows[:19] == [
        *("Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "mINP"),
        *("Protocol", "Direction", "Mode", "Shots", "Trials", "Gallery draw", "Feature", "Re-ranking"),
        *("Attribute source", "Checkpoint selection", "Precision", "Seed", "Queries evaluated"),
    ]
    assert "SYSU-MM01 all: rank-1 31.2\u00a0%, mAP 71.2\u00a0%." in found.texts("p")


def test_a_condition_that_nobody_stated_is_seen(finished: Path) -> None:
    path = finished / "metrics.json"
    content = json.loads(path.read_text())
    for report in content["results"].values():
        del report["conditions"]["precision"]
        report["conditions"]["flip_test"] = "yes"
    path.write_text(json.dumps(content))
    text = words(finished)
    assert '<th scope="row">Precision</th><td colspan="2">not stated</td>' in text
    assert '<th scope="row">Flip test</th><td colspan="2">yes</td>' in text


def test_oracle_is_marked(finished: Path) -> None:
    path = finished / "metrics.json"
    content = json.loads(path.read_text())
    content["results"]["all"]["conditions"]["attribute_source"] = "labels"
    path.write_text(json.dumps(content))
    found = Reader(words(finished))
    assert found.texts("td")[:2] == ["31.2 ± 1.2 †", "36.2 ± 1.7"]
    assert ORACLE_NOTE in found.texts("p")


def test_one_trial_has_no_spread_and_chance_is_said(finished: Path) -> None:
    path = finished / "metrics.json"
    content = json.loads(path.read_text())
    del content["results"]["all"]["trials"][1]
    content["results"]["all"]["chance"] = {"rank1": 0.1}
    path.write_text(json.dumps(content))
    found = Reader(words(finished))
    assert found.texts("td")[0] == "31.2"
    sentence = "SYSU-MM01 all: a random ranking has rank-1 10.0\u00a0%; the measured rank-1 is 3.1 times as high."
    assert sentence in found.texts("p")


def test_nothing_is_loaded_from_anywhere(reported: Path) -> None:
    found = seen(reported)
    assert not found.tags() & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes, _ in found.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            assert attributes.get(name, "data:").startswith(("data:image/", "#", "data:"))
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    (style,) = ["".join(text) for tag, _, text in found.elements if tag == "style"]
    assert style == read_static("style.css")
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = {
        "http-equiv": "Content-Security-Policy",
        "content": f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'",
    }
    assert policy in found.attributes("meta")


def test_all_text_is_escaped(finished: Path) -> None:
    content = json.loads((finished / "metrics.json").read_text())
    content["results"] = {"<img src=x>": content["results"].pop("all")}
    content["results"]["<img src=x>"]["conditions"].update(mode="<b>all</b>", feature='"><script>', **{"<i>": "</td>"})
    (finished / "metrics.json").write_text(json.dumps(content))
    found = Reader(words(finished))
    assert not found.tags() & {"script", "i"}
    assert '"><script>' in found.texts("td")
    assert "SYSU-MM01 <b>all</b>" in found.texts("th", scope="col")
    assert found.texts("pre") == ["SEED: 7  # a < b & </pre><script>alert(2)</script>"]
    assert "2.0 <b>&" in found.texts("dd")


def test_images_decode_and_are_described(reported: Path) -> None:
    found = seen(reported)
    images = found.attributes("img")
    assert all(attributes["alt"] for attributes in images)
    by_alt = {attributes["alt"]: decode(attributes["src"]) for attributes in images}
    sources = [decode(attributes["srcset"]) for attributes in found.attributes("source")]
    assert [image.format for image in sources] == ["PNG"] * 3  # dark copies of losses, evaluations, CMC
    assert "Loss curves over 3 epochs (id, triplet, loss), and the learning rate below them" in by_alt
    assert "Identity 3, visible camera 1" in by_alt
    assert "Identity 3, visible camera 2" not in by_alt
    expected = {
        "Query: identity 1, infrared camera 3": QUERY_COLOR,
        "Rank 1, correct match: identity 1, visible camera 1": CORRECT_COLOR,
        "Rank 1, incorrect match: identity 1, visible camera 1": INCORRECT_COLOR,
        "Rank 4, correct match: identity 2, visible camera 1": CORRECT_COLOR,
    }
    for alt, color in expected.items():
        frame = np.asarray(by_alt[alt]).astype(int)[30:, 1]
        assert abs(frame - color).max() < 24, alt


def test_ranked_lists_say_what_they_show(finished: Path) -> None:
    found = read(finished, queries=2)
    assert found.texts("h3") == [
        "SYSU-MM01 all: infrared queries, visible gallery (first trial)",
        "SYSU-MM01 indoor: infrared queries, visible gallery (first trial)",
    ]
    assert found.texts("h4") == 2 * [
        "Identity 1, camera 3: first correct match at rank 1, 2 of the 5 images shown are correct",
        "Identity 3, camera 3: first correct match at rank 5, 1 of the 5 images shown are correct",
    ]
    assert "Left out: 1 queries without a correct match in the saved lists." in found.texts("p")
    assert [text[:1] for text in found.texts("span", **{"class": "correct"})] == ["✓"] * 6
    assert {text[:1] for text in found.texts("span", **{"class": "incorrect"})} == {"✗"}


def test_pictures_folder(reported: Path) -> None:
    names = {path.name: Image.open(path).format for path in (reported / "pictures").iterdir()}
    expected = ["cmc", "contact_sheet", "evaluations", "losses", "ranked_all", "ranked_indoor"]
    assert names == {f"{name}.png": "PNG" for name in expected}


def test_trained_run_gives_curves_and_notes(trained: Path) -> None:
    found = read(trained)
    assert found.texts("h2") == HEADINGS
    notes = found.texts("p", **{"class": "note"})
    assert notes[0].startswith(
        "metrics.json is missing: the run has not been evaluated. Make it with: tools/train_net.py"
    )
    assert notes[1].startswith("rankings.npz is missing: no test identities, no ranked lists. Make it with: tools/")
    assert found.texts("p", **{"class": "lead"}) == ["Trained for 3 epochs; not evaluated yet."]
    assert len(found.attributes("img")) == 2  # losses, evaluations
    assert not found.texts("table")


def test_evaluated_run_without_log(finished: Path) -> None:
    (finished / "log.jsonl").unlink()
    notes = read(finished).texts("p", **{"class": "note"})
    assert "log.jsonl holds no finished epoch." in notes


def test_images_that_moved_are_said(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "images").rename(tmp_path / "moved")
    (note,) = read(finished).texts("p", **{"class": "note"})
    assert note.startswith("12 images could not be read and are shown as gray boxes. The first is ")
    assert "(missing)" in note


@pytest.mark.parametrize("pictures_written", [False, True])
def test_what_was_there_stays_whole_when_writing_fails(
    finished: Path, monkeypatch: pytest.MonkeyPatch, pictures_written: bool
) -> None:
    (finished / "report.html").write_text("the old page")
    (finished / "pictures").mkdir()
    (finished / "pictures" / "cmc.png").write_text("the old picture")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if pictures_written:
        monkeypatch.setattr(page, "_write_pictures", lambda *_: None)
    monkeypatch.setattr("os.fsync", fail)
    broken = "report.html" if pictures_written else "pictures"
    with pytest.raises(UserError) as error:
        page.write_report(finished)
    assert str(error.value).startswith(f"{finished / broken}: cannot be written (No space left on device)")
    assert (finished / "report.html").read_text() == "the old page"
    assert (finished / "pictures" / "cmc.png").read_text() == "the old picture"
    assert not [path.name for path in finished.iterdir() if path.name.startswith(".")]


def test_same_run_gives_the_same_page(finished: Path) -> None:
    assert page.write_report(finished).read_bytes() == page.write_report(finished).read_bytes()


def test_a_page_too_large_is_refused(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LARGEST_PAGE", 1_000)
    with pytest.raises(
        UserError, match=r"report\.html: the page is 0\.\d MB large, .* a smaller number than --queries 8$"
    ):
        page.write_report(finished)
    assert not (finished / "report.html").exists()


def test_queries_must_be_positive(finished: Path) -> None:
    with pytest.raises(UserError, match=r"^--queries must be at least 1, got 0$"):
        page.write_report(finished, queries=0)


def test_names_of_cameras_stand_beside_their_numbers(finished: Path) -> None:
    with np.load(finished / "rankings.npz") as file:
        arrays = {name: file[name] for name in file.files}
    for name in ("all", "indoor"):
        arrays |= {f"{name}/camera_number": np.array([1, 3]), f"{name}/camera_name": np.array(["<yard>", "gate"])}
    np.savez(finished / "rankings.npz", **arrays)
    found = read(finished, queries=2)
    assert found.texts("h4")[0].startswith("Identity 1, camera 3 (gate): first correct match")
    alts = {attributes["alt"] for attributes in found.attributes("img")}
    assert "Query: identity 1, infrared camera 3 (gate)" in alts
    assert "Rank 1, correct match: identity 1, visible camera 1 (<yard>)" in alts
