"""Code, tests, configs and pages refer to documents of this repository only, and to sections that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KINDS = ("*.py", "*.md", "*.yml", "*.toml", "*.txt", "Makefile")
FOLDERS = ("vireid", "tests", "tools", "benchmarks", "configs", "docs")
GENERATED = {"benchmarks/results"}  # of runs; their names are in the data that made them
MADE = {"results.md", "zoo.md"}  # pages that a command or a test writes
PAGE = re.compile(r"(?<![\w/.])((?:[\w.-]+/)*[\w-]+\.md)\b")
OUTSIDE = re.compile(r"\.\./shared\b|\bMOVES\b|\b(?:as|in|of|see|than) (?:the )?DESIGN\b|\bDESIGN reads\b")


def files() -> list[Path]:
    """Every text of the repository that a person wrote, this test left out."""
    found = [path for kind in KINDS for path in ROOT.glob(kind)]
    found += [path for folder in FOLDERS for kind in KINDS for path in (ROOT / folder).rglob(kind)]
    generated = tuple(str(ROOT / folder) for folder in GENERATED)
    return sorted(path for path in found if path != Path(__file__) and not str(path).startswith(generated))


def pages() -> set[str]:
    """Markdown pages of the repository, relative to its root."""
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix() for path in found}


def problems(text: str, place: str, known: set[str]) -> list[str]:
    """Sentences about references of a text that lead out of the repository.

    A page may be named by its path from the root or from the folder of the text, or by its file name.
    """
    found = [f"{place}: {match[0]!r} is outside the repository" for match in OUTSIDE.finditer(text)]
    for name in PAGE.findall(text):
        folder = Path(place).parent
        candidates = {name, (folder / name).as_posix()}
        by_name = "/" not in name and any(page.rsplit("/", 1)[-1] == name for page in known)
        section = re.search(rf"{re.escape(name)},? section \d", text)
        if section is not None:
            found.append(f"{place}: {section[0]!r}: the pages have no numbered sections; name the heading")
        elif not (candidates & known or by_name or name.rsplit("/", 1)[-1] in MADE):
            found.append(f"{place}: there is no page {name}")
    return found


def test_references_lead_to_pages_of_the_repository():
    found, known = [], pages()
    for file in files():
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".md":
            text = re.sub(r"\]\([^)]*\)", "]", text)  # links are tested in test_docs.py
        found += problems(text, file.relative_to(ROOT).as_posix(), known)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The protocol (protocols.md section 1).", "'protocols.md section 1': the pages have no numbered sections"),
        ("Source: pae.md, where it stands", "there is no page pae.md"),
        ("methods/nowhere.md: 630 tensors", "there is no page methods/nowhere.md"),
        ("docs/data.md section 3", "'docs/data.md section 3': the pages have no numbered sections"),
        ("as DESIGN reads them", "'as DESIGN' is outside the repository"),
        ("where the zip lies in `../shared/data`", "'../shared' is outside the repository"),
        ("renamed as MOVES lists", "'MOVES' is outside the repository"),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(text, fault):
    (found,) = problems(text, "vireid/a.py", pages())[:1]
    assert fault in found


@pytest.mark.parametrize("text", ["docs/data.md has the rules", "see data.md", "DESIGN of the network", "results.md"])
def test_a_page_of_the_repository_may_be_named(text):
    assert problems(text, "vireid/a.py", pages()) == []


def test_there_are_files_and_pages():
    assert len(files()) > 300
    assert {"docs/data.md", "docs/methods/agw.md", "README.md"} <= pages()
