"""tools/visualize.py, called in process."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[3] / "tools" / "visualize.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("visualize_tool", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_prints_the_path_of_the_page(tool: ModuleType, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--run", str(finished), "--queries", "1"]) == 0
    assert capsys.readouterr().out == f"{finished}/report.html\n"
    assert (finished / "report.html").read_text().count("<h4>") == 2  # of two protocols


def test_missing_folder_is_an_error_text(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--run", "runs/nobody"]) == 2
    assert capsys.readouterr().err == (
        "error: --run runs/nobody: there is no such folder.\n"
        "    Make it with: tools/train_net.py --config-file configs/sysu/mmd.yml OUTPUT_DIR runs/nobody\n"
    )
