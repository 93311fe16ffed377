"""Every dependency has a floor, and tests/oldest.txt installs exactly these versions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = {"ruff", "pyright"}  # not needed to run a test
INDIRECT = {"setuptools"}  # needed by an old dependency, not by vireid


@pytest.fixture(scope="module")
def declared() -> dict[str, list[str]]:
    """Arguments of setup() that list requirements."""
    import setuptools

    found: dict[str, dict] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **words: found.update(words))
        patch.chdir(ROOT)
        code = compile((ROOT / "setup.py").read_text(encoding="utf-8"), str(ROOT / "setup.py"), "exec")
        exec(code, {"__file__": str(ROOT / "setup.py"), "__name__": "setup"})
    return {"install": found["install_requires"], **found["extras_require"]}


def split(requirement: str) -> tuple[str, str]:
    """'faiss-gpu>=1.15; platform_system == ...' -> ('faiss-gpu', '>=1.15')."""
    name, version = re.fullmatch(r"([A-Za-z0-9-]+)(?:\[\w+\])?\s*([^;]*)(?:;.*)?", requirement).groups()
    return name.lower(), version.strip()


def floors(requirements: Iterable[str]) -> dict[str, str]:
    """Name -> the lowest version allowed; '' where there is none."""
    pairs = map(split, requirements)
    return {name: version.removeprefix(">=") if version.startswith(">=") else "" for name, version in pairs}


def pins() -> dict[str, str]:
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pairs = [split(line) for line in lines if line and not line.startswith("#")]
    return {name: version.removeprefix("==") for name, version in pairs if name not in INDIRECT}


def numbers(version: str) -> tuple[int, ...]:
    """'2.0' and '2.0.0' are the same version."""
    found = [int(part) for part in version.split(".")]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def test_every_dependency_has_a_floor(declared):
    without = [
        name
        for group, requirements in declared.items()
        for name, floor in floors(requirements).items()
        if not floor and not (group == "dev" and name in TOOLS)
    ]
    assert without == []


def test_the_oldest_environment_has_these_floors(declared):
    wanted = floors([*declared["install"], *declared["dev"]])
    wanted = {name: numbers(floor) for name, floor in wanted.items() if name not in TOOLS}
    assert {name: numbers(version) for name, version in pins().items()} == wanted


def test_a_missing_floor_would_be_found():
    assert floors(["numpy", "torch>=2.7", "faiss-gpu>=1.15; platform_system == 'Linux'", "pyright[nodejs]"]) == {
        "numpy": "",
        "torch": "2.7",
        "faiss-gpu": "1.15",
        "pyright": "",
    }
