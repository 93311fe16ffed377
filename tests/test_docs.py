"""Links of the pages lead somewhere, and the keys that migration tables name are keys of the method's configs."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vireid.config import load_checked
from vireid.config.show import resolved_tree
from vireid.zoo.models import config_path, list_models

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
METHODS = sorted((ROOT / "docs" / "methods").glob("*.md"))


def anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {anchor(title) for title in re.findall(r"^#+ (.+)$", text, flags=re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (place and place not in anchors(target)):
            broken.append(link)
    assert not broken


def migration_rows(page: Path) -> Iterator[str]:
    """The right column of tables whose left one is a release."""
    for table in re.findall(r"^\| release.*\n\|[-| ]+\n((?:\|.*\n)+)", page.read_text(encoding="utf-8"), flags=re.M):
        yield from (row.split("|")[2] for row in table.splitlines())


def keys_of(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{prefix}{key}.")


@functools.cache
def known_keys(method: str) -> set[str]:
    """Keys of the method and its variants (caj_plus) on every data set; any term of an objective may have a WEIGHT."""
    known: set[str] = set()
    for name in list_models("*/" + method) + [name for name in list_models(f"*/{method}_*") if "_pae" not in name]:
        checked = load_checked(config_path(name))
        known |= {*keys_of(checked.config), *keys_of(resolved_tree(checked))}
    return known | {f"{key}.WEIGHT" for key in known if re.fullmatch(r"OBJECTIVE\.\w+", key)}


@pytest.mark.parametrize("page", METHODS, ids=lambda page: page.stem)
def test_keys_of_migration_tables_are_keys_of_the_configs(page):
    strangers = []
    for row in migration_rows(page):
        methods = {page.stem, *re.findall(r"`(?:[\w/]*/)?(\w+)\.yml`", row)}
        known = set().union(*map(known_keys, methods))
        # `KEY: {NAME: ...}` adds a component, any key will do
        for key in re.findall(r"`([A-Z]+(?:\.[A-Z_0-9]+)+)(?!: {NAME|[.\w])", row):
            if key not in known:
                strangers.append(key)
    assert not strangers


def test_there_are_tables_and_a_broken_one_would_be_found():
    assert all(list(migration_rows(ROOT / "docs" / "methods" / f"{name}.md")) for name in ("agw", "hct", "mmd"))
    assert "OBJECTIVE.MMD.MARGIN" in known_keys("mmd")
    assert "OBJECTIVE.MMD.MRGIN" not in known_keys("mmd")
    assert anchor("Flags of the released code: AGW") == "flags-of-the-released-code-agw"


@pytest.mark.parametrize("suite", ["table3", "table5", "table6"])
def test_tables_of_the_paper_are_those_that_the_suite_made(suite):
    page = (ROOT / "docs" / "paper_results.md").read_text(encoding="utf-8")
    made = (RESULTS / suite / "results.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", made, flags=re.M)
    assert tables
    assert all(table in page for table in tables)


def test_the_cross_dataset_matrix_is_that_which_the_suite_made():
    page = (ROOT / "docs" / "cross_dataset_results.md").read_text(encoding="utf-8")
    made = (RESULTS / "cross" / "results.md").read_text(encoding="utf-8")
    assert re.search(r"(?:^\|.*\n)+", made, flags=re.M)[0] in page


def test_every_picture_that_a_suite_made_is_shown():
    page = (ROOT / "docs" / "paper_results.md").read_text(encoding="utf-8")
    pictures = [path.relative_to(RESULTS.parent).as_posix() for path in RESULTS.glob("figure*/*.png")]
    assert len(pictures) >= 4
    assert not [picture for picture in pictures if picture not in page]


def test_the_page_of_retrieval_is_what_its_results_say(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "speed"))
    made = importlib.import_module("retrieval_page").page()
    assert (ROOT / "docs" / "retrieval_results.md").read_text(encoding="utf-8") == made
    assert not re.findall(r"@[A-Z_0-9]+@", made)
