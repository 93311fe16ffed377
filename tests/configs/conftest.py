"""Where the shipped configs are, and how their tools are called in process."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(Path(__file__).parent) not in sys.path:  # `mutants` and `snapshot` are plain modules of this folder
    sys.path.insert(0, str(Path(__file__).parent))
collect_ignore = ["mutants.py", "snapshot.py"]


@pytest.fixture(scope="session")
def call_tool():
    """Call tools/<name>.py in process: name and words of the command line -> exit code."""

    def call(name: str, *words: object) -> int:
        if name not in mains:
            spec = importlib.util.spec_from_file_location(f"vireid_tool_{name}", ROOT / "tools" / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            mains[name] = module.main
        return mains[name](list(map(str, words)))

    mains = {}
    return call


@pytest.fixture(scope="session")
def configs() -> Path:
    return ROOT / "configs"


@pytest.fixture
def show_config(capsys, call_tool):
    """Call tools/show_config.py in process: arguments -> (exit code, what it printed, its complaint)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = call_tool("show_config", *arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
