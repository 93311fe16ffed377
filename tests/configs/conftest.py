"""Where the shipped configs are, and how their tools are called in process."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def configs() -> Path:
    return ROOT / "configs"


@pytest.fixture
def show_config(capsys):
    """Call tools/show_config.py in process: arguments -> (exit code, what it printed, its complaint)."""
    spec = importlib.util.spec_from_file_location("show_config", ROOT / "tools" / "show_config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = module.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
