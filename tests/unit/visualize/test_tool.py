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


def test_missing_folder_is_an_error_text(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "missing"
    assert tool.main(["--run", str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"error: --run {folder}: the folder does not exist.\n"
        f"    Make it with: tools/train_net.py --config-file configs/sysu/mmd.yml OUTPUT_DIR {folder}\n"
    )


@pytest.mark.parametrize("kind", ["cmc", "curves", "ranklist"])
def test_one_picture_in_three_forms(tool: ModuleType, finished: Path, capsys: pytest.CaptureFixture[str], kind: str):
    few = ["--queries", "1"] if kind == "ranklist" else []
    assert tool.main([kind, "--run", str(finished), *few]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.suffix for path in paths} == {".png", ".pdf", ".html"}
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".html": b"<!DOCTYPE html>"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in paths)
    assert all(path.parent == finished / "figures" for path in paths)


def test_what_a_run_does_not_have_is_said(tool: ModuleType, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["tsne", "--run", str(finished)]) == 2
    assert "features.npz does not exist; write it with: tools/train_net.py" in capsys.readouterr().err
    assert tool.main(["ranklist", "--run", str(finished), "--protocol", "al"]) == 2
    assert "--protocol al: the run has all, indoor; did you mean 'all'?" in capsys.readouterr().err
