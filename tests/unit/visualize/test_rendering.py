"""Templates: hostile text is escaped in every page, nothing but inlined style and script is allowed."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from PIL import Image

from vireid.gallery.answers import as_html
from vireid.suites import page as suite
from vireid.visualize import ranked_section, sections
from vireid.visualize.rendering import PageImage, read_static, render_page
from vireid.visualize.single import Single, write_single
from vireid.visualize.tiles import png

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></pre></title><b>",
    "line\nbreak\r\n<!-- ]]> -->",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;i&gt; &amp;",
    "x" * 500,
)
PIXEL = "data:image/png;base64," + base64.b64encode(png(Image.new("RGB", (1, 1)))).decode()
VOID = {"meta", "img", "source", "br"}


class Text(HTMLParser):
    """Tags, attributes and text of a page as a browser decodes them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def content(self) -> str:
        return "".join(self.text) + "".join(value for _, value in self.attributes)


def run_page(text: str) -> str:
    image = PageImage(PIXEL, text, PIXEL)
    match = ranked_section.MatchItem(image, 1, text, 0.5, True)
    query = ranked_section.QueryItem(image, 1, text, text, [match])
    page = sections.RunPage(
        name=text,
        summary=[text],
        notes=[text],
        unreadable=text,
        sections=sections.SECTIONS,
        results=sections.ResultsSection(
            titles=[text, text],
            scores=[sections.ScoreRow(text, [sections.Score(50.0, 1.0, True), None])],
            conditions=[sections.ConditionRow(text, [text, text]), sections.ConditionRow("b", [text, "x"])],
            explanations=[text],
            oracle_note=text,
        ),
        identities=sections.IdentitiesSection(
            text, [sections.SheetColumn(text, text)], [[sections.SheetRow(1, [image, PageImage("", text)])]]
        ),
        training=sections.TrainingSection([image], {text: text}, text),
        cmc=sections.CmcSection(image, [text]),
        open_set=None,
        ranked=[ranked_section.RankedSection(text, text, text, text, 1, [query])],
        environment={text: text},
        config=text,
    )
    return render_page("run_report.html.j2", page)


def suite_page(text: str) -> str:
    page = suite.SuitePage(
        title=text,
        note=text,
        sections=suite.SECTIONS,
        tables=[suite.TableItem(text, [text], [(text, [suite.Value(1.0, 1.0, oracle=True, reported=2.0)])], [text])],
        failures=[text],
        differences=suite.DifferencesItem(text, [text], [suite.DifferenceRow(text, text, [text])]),
        costs=suite.CostsItem([text], [(text, [text])]),
        figures=[PageImage(PIXEL, text)],
        cells=[suite.CellItem(text, text, text, text)],
        environment={text: text},
    )
    return render_page("suite.html.j2", page, script="sort_table.js")


def search_page(text: str) -> str:
    match = {"rank": 1, "score": 0.5, "path": text, "identity": text, "camera": text, "time": text}
    return as_html({"conditions": {text: text}, "queries": [{"query": text, "answers": [match]}]})


PAGES = {"run": run_page, "suite": suite_page, "search": search_page}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", PAGES)
def test_hostile_text_is_shown_as_text(kind: str, text: str) -> None:
    harmless, hostile = Text(PAGES[kind]("plain")), Text(PAGES[kind](text))
    assert hostile.tags == harmless.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in harmless.attributes]
    normal = text.replace("\r\n", "\n")
    count = harmless.content().count("plain")
    assert count > 5
    assert hostile.content().replace("\r\n", "\n").count(normal) >= count


@pytest.mark.parametrize("kind", PAGES)
def test_policy_allows_exactly_the_inlined_style_and_script(kind: str) -> None:
    html = PAGES[kind]("plain")
    (policy,) = [unescape(text) for text in re.findall(r'Content-Security-Policy" content="([^"]+)"', html)]
    directives = dict(text.strip().split(" ", 1) for text in policy.split(";"))
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        digests = [
            f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
            for code in re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        ]
        assert digests == ([directives[directive]] if directive in directives else [])
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    assert not [name for name, _ in Text(html).attributes if name == "style" or name.startswith("on")]


def test_static_files_cannot_end_their_element() -> None:
    for name in ("style.css", "sort_table.js"):
        assert "</" not in read_static(name)
        assert "http" not in read_static(name)


def test_a_missing_field_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render_page("suite.html.j2", {"title": "x"})


def test_page_of_a_single_picture(tmp_path: Path) -> None:
    picture = Single("cmc", png(Image.new("RGB", (4, 4))), b"%PDF", HOSTILE[0])
    paths = write_single(picture, tmp_path)
    assert [path.name for path in paths] == ["cmc.png", "cmc.pdf", "cmc.html"]
    page = Text(paths[2].read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.content().count(HOSTILE[0]) == 2  # alternative text and caption


def test_markup_stands_in_templates_only() -> None:
    package = Path(__file__).parents[3] / "vireid"
    tag = re.compile(
        r"</?(?:div|p|a|b|br|span|table|t[dhr]|html|img|h[1-6]|ul|ol|li|pre|style|script|section|figure)\b[^>\n]*>"
    )
    files = [*package.glob("visualize/**/*.py"), package / "suites/page.py", package / "gallery/answers.py"]
    assert [f"{file}: {match[0]}" for file in files for match in tag.finditer(file.read_text(encoding="utf-8"))] == []
