"""What the pages show is true: Python blocks run, commands name tools, options and files that exist."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest

import vireid.config.check  # noqa: F401 -- fills the registries before they are copied
from vireid.cli.main import command_parser
from vireid.core.registries import ALL

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    """(info string, text) of the fenced blocks of a language."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [(info, text) for info, text in found if info.split()[:1] == [language]]


def commands():
    for page in PAGES:
        for _, text in blocks(page, "bash"):
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                found = [
                    index
                    for index, word in enumerate(words)
                    if re.fullmatch(r"(tools|benchmarks/speed)/\w+\.py|vireid", word)
                ]
                if found:
                    yield pytest.param(words[found[0] :], id=f"{page.name}: {line.split('#')[0].strip()}")


@pytest.fixture
def registries_as_before(monkeypatch):
    """Examples register parts; other tests must not meet them."""
    for registry in ALL.values():
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("registries_as_before")
def test_python_blocks_run(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for info, text in blocks(page, "python"):
        if "no-run" not in info:
            exec(compile(text, f"{page.name}", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("words", commands())
def test_commands_name_what_exists(words, monkeypatch):
    if words[0] == "vireid":
        command_parser(words[1]).parse_args(words[2:])
        return
    script = ROOT / words[0]
    assert script.exists()
    spec = importlib.util.spec_from_file_location(f"shown_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look themselves up there
    monkeypatch.syspath_prepend(str(script.parent))  # as python does for a script
    spec.loader.exec_module(module)
    parsed = module.parser().parse_args(words[1:]) if hasattr(module, "parser") else None
    config = getattr(parsed, "config_file", None)
    assert config is None or (ROOT / config).exists() or config == "mine.yml"


def test_there_are_blocks_and_commands_to_look_at():
    assert any("no-run" not in info for info, _ in blocks(ROOT / "README.md", "python"))
    assert len(list(commands())) >= 4
