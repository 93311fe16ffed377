"""Rules of the source code: length, docstrings, no configs below vireid/config, no branches on names, no row order.

Each rule is one test over all files that reports every problem, and is also tried on a source that breaks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import vireid.data
import vireid.engine
import vireid.evaluation
import vireid.losses
import vireid.models
import vireid.retrieval  # noqa: F401  importing these packages fills the registries
from vireid.core import registries

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
FLOORS = yaml.safe_load((ROOT / "docs" / "design" / "floors.yml").read_text(encoding="utf-8"))["floors"]
BELOW_CONFIG = {package for packages in FLOORS[: FLOORS.index(["config"])] for package in packages}
CONFIG_PARAMETERS = {"cfg", "conf", "config"}
NAME_VARIABLES = {"name", "method", "arch", "__name__"}
REGISTERED = {name for registry in registries.ALL.values() for name in registry}

Checker = Callable[[str, str], list[str]]  # path relative to vireid/, source -> problems


def package_of(path: str) -> str:
    return Path(path).parts[0].removesuffix(".py")


def too_long(path: str, source: str) -> list[str]:
    lines = source.count("\n") + (not source.endswith("\n"))
    return [f"{path}: {lines} lines; at most {MAX_LINES} are allowed"] if lines > MAX_LINES else []


def without_docstring(path: str, source: str) -> list[str]:
    """Modules and their public classes and functions. A documented method counts for a structural type."""
    module = ast.parse(source)
    problems = [] if ast.get_docstring(module) or not module.body else [f"{path}: the module has no docstring"]
    for node in module.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
            continue
        if any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list):
            continue  # the implementation has the docstring
        structural = isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        parts = [part for part in ([node, *node.body] if structural else [node]) if _has_docstring(part)]
        if not parts:
            problems.append(f"{path}: {node.name} has no docstring")
    return problems


def _has_docstring(node: ast.AST) -> bool:
    return isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None


def reaching_configs(path: str, source: str) -> list[str]:
    """A config as a parameter or a type in a package below vireid/config; its text or its file is allowed."""
    if package_of(path) not in BELOW_CONFIG:
        return []
    problems = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg) and node.arg in CONFIG_PARAMETERS:
            annotation = ast.unparse(node.annotation) if node.annotation else ""
            if annotation not in {"str", "Path"}:
                problems.append(f"{path}:{node.lineno}: a parameter {node.arg!r} below vireid/config")
        if isinstance(node, (ast.Name, ast.Attribute)) and _last_word(node) in {"cfg", "cfgnode"}:
            problems.append(f"{path}:{node.lineno}: {ast.unparse(node)!r} below vireid/config")
    return problems


def branching_on_names(path: str, source: str) -> list[str]:
    """Comparisons with the name of a registered class, or of a name variable with a string that looks like a class."""
    problems = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
            continue
        sides = [node.left, *node.comparators]
        is_name = any(_last_word(side) in NAME_VARIABLES for side in sides)
        for text in (text for side in sides for text in _strings(side)):
            looks_like_class = re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}|[A-Z][A-Za-z]*\d*", text) is not None
            if text in REGISTERED or (is_name and looks_like_class):
                problems.append(f"{path}:{node.lineno}: compares with the name {text!r}; look it up in a registry")
    return problems


def _last_word(node: ast.AST) -> str:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value).lower()
    word = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return word.lower()


def _strings(node: ast.AST) -> Iterator[str]:
    constants = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    yield from (c.value for c in constants if isinstance(c, ast.Constant) and isinstance(c.value, str))


def slicing_batches(path: str, source: str) -> list[str]:
    """Calls of `chunk` and `split` in losses and models, which assume an order of the batch rows."""
    if package_of(path) not in {"losses", "models"}:
        return []
    return [
        f"{path}:{node.lineno}: {node.func.attr}() of a batch assumes a row order; group by labels and modality"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"chunk", "split", "tensor_split"}
        and not any(isinstance(argument, ast.Constant) and isinstance(argument.value, str) for argument in node.args)
    ]


def files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_files_are_short():
    checked = files("vireid", "tools", "tests", "benchmarks")
    assert len(checked) > 100
    problems = [text for file in checked for text in too_long(name_of(file), file.read_text(encoding="utf-8"))]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("checker", [without_docstring, reaching_configs, branching_on_names, slicing_batches])
def test_source_rules(checker: Checker):
    checked = {file.relative_to(ROOT / "vireid").as_posix(): file for file in files("vireid")}
    assert len(checked) > 100
    problems = [text for path, file in checked.items() for text in checker(path, file.read_text(encoding="utf-8"))]
    assert not problems, "\n".join(problems)


def test_the_registries_are_filled():
    assert {"TwoStreamBackbone", "MarginMMD", "SysuMM01", "SGD"} <= REGISTERED


@pytest.mark.parametrize(
    ("checker", "path", "source", "expected"),
    [
        (too_long, "a.py", "x = 1\n" * 401, ["a.py: 401 lines; at most 400 are allowed"]),
        (too_long, "a.py", "x = 1\n" * 400, []),
        (without_docstring, "a.py", "x = 1", ["a.py: the module has no docstring"]),
        (without_docstring, "a.py", "", []),
        (
            without_docstring,
            "a.py",
            '"""A."""\ndef f(): ...\nclass C: ...\ndef _g(): ...',
            ["a.py: f has no docstring", "a.py: C has no docstring"],
        ),
        (without_docstring, "a.py", '"""A."""\nclass P(Protocol):\n    def f(self):\n        """Does."""', []),
        (without_docstring, "a.py", '"""A."""\n@overload\ndef f(): ...\ndef f():\n    """Does."""', []),
        (without_docstring, "a.py", '"""A."""\nclass P(Protocol):\n    x: int', ["a.py: P has no docstring"]),
        (
            reaching_configs,
            "losses/a.py",
            "def f(*, cfg, config: dict):\n    return cfg",
            [
                "losses/a.py:1: a parameter 'cfg' below vireid/config",
                "losses/a.py:1: a parameter 'config' below vireid/config",
                "losses/a.py:2: 'cfg' below vireid/config",
            ],
        ),
        (reaching_configs, "engine/a.py", "x: yacs.CfgNode", ["engine/a.py:1: 'yacs.CfgNode' below vireid/config"]),
        (reaching_configs, "engine/a.py", "def store(config: str): ...", []),
        (reaching_configs, "config/a.py", "def f(config): ...", []),
        (reaching_configs, "models/a.py", "def f(configured): ...", []),
        (
            branching_on_names,
            "models/a.py",
            'if arch == "Resnet50": pass',
            ["models/a.py:1: compares with the name 'Resnet50'; look it up in a registry"],
        ),
        (
            branching_on_names,
            "engine/a.py",
            'x = anything in ("MarginMMD", "other")',
            ["engine/a.py:1: compares with the name 'MarginMMD'; look it up in a registry"],
        ),
        (
            branching_on_names,
            "config/a.py",
            'ok = node["NAME"] != "HeteroCenter"',
            ["config/a.py:1: compares with the name 'HeteroCenter'; look it up in a registry"],
        ),
        (
            branching_on_names,
            "models/a.py",
            'ok = type(layer).__name__ == "Linear"',
            ["models/a.py:1: compares with the name 'Linear'; look it up in a registry"],
        ),
        (branching_on_names, "data/a.py", 'ok = path.name == "thumbs.db" or mode == "hinge"', []),
        (
            slicing_batches,
            "losses/a.py",
            "a, b = features.chunk(2)",
            ["losses/a.py:1: chunk() of a batch assumes a row order; group by labels and modality"],
        ),
        (slicing_batches, "models/a.py", 'key.split(".")', []),
        (slicing_batches, "data/a.py", "rows.split(3)", []),
    ],
)
def test_each_checker_reports_its_problem(checker: Checker, path, source, expected):
    assert checker(path, source) == expected
