"""Only `vireid/runs` names the files of a run folder in code: other packages use `RunFolder`."""

from __future__ import annotations

import ast
from pathlib import Path

import vireid
from vireid.runs import RunFolder

PACKAGE = Path(vireid.__file__).parent
FILES = {path.name for path in vars(RunFolder(Path("run"))).values()} - {"run"}
SHARED = {"checkpoints"}  # also the name of a part of a page or of an option


def names_of_files(source: str) -> set[str]:
    """Return the strings in a source that are the name of a file of a run folder."""
    constants = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return {text for text in constants if isinstance(text, str) and text in FILES - SHARED}


def test_no_other_package_names_the_files():
    assert {"metrics.json", "rankings.npz", "queries.npz", "features.npz", "log.jsonl", "config.yml"} <= FILES
    found = {
        f"{path.relative_to(PACKAGE)}: {sorted(names)}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "runs" and (names := names_of_files(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_a_name_in_code_would_be_found():
    assert names_of_files('"""About metrics.json."""\npath = folder / "metrics.json"\n') == {"metrics.json"}
