"""Who may import whom, read from the source of every file; each rule is tried on a bad text as well.

`FLOORS` is the table of the layers: a file imports from lower floors and from its own package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {
    **dict.fromkeys(("core",), 0),
    **dict.fromkeys(("layers",), 1),
    **dict.fromkeys(("data", "models", "losses", "retrieval", "interop", "testing"), 2),
    **dict.fromkeys(("synthetic",), 3),  # may import data
    **dict.fromkeys(("evaluation",), 4),
    **dict.fromkeys(("runs",), 5),
    **dict.fromkeys(("engine",), 6),
    **dict.fromkeys(("config",), 7),
    **dict.fromkeys(("experiment", "zoo"), 8),
    **dict.fromkeys(("visualize",), 9),
    **dict.fromkeys(("suites", "gallery"), 10),
    **dict.fromkeys(("cli",), 11),
}
ONLY = {"testing": {"core"}}  # a package that may import less than its floor allows
TOP = 12  # tools, benchmarks, vireid/__init__.py, which imports on first use, and vireid/__main__.py
HEAVY = {"faiss", "pymilvus", "onnx", "onnxruntime", "sklearn", "matplotlib"}  # inside functions only
OWNED = {  # packages of others and the one place that may import them
    "yacs": "config/",
    "yaml": "config/",
    "accelerate": "engine/",
    "timm": "models/backbones/timm_stages.py",
}


@dataclass(frozen=True)
class Import:
    """One imported module by its full name; `inside` a function, or under TYPE_CHECKING, is not run on import."""

    name: str
    inside: bool


def imports(source: str, path: str) -> Iterator[Import]:
    """Imports of the file at `path` (relative to vireid/), relative ones resolved."""
    package = ["vireid", *Path(path).parts[:-1]]

    def walk(node: ast.AST, inside: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *filter(None, [child.module])])
                if module == "vireid":  # `from vireid import data` is an import of vireid.data
                    yield from (Import(f"vireid.{alias.name}", inside) for alias in child.names)
                else:
                    yield Import(module, inside)
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from walk(child, inside or function or guarded)

    return walk(ast.parse(source), False)


def package_of(path: str) -> str:
    """First component without suffix: `losses` of losses/triplet.py, `experiment` of experiment.py."""
    return Path(path).parts[0].removesuffix(".py")


def problems_of_floors(path: str, source: str) -> list[str]:
    """Sentences about imports that the floors forbid. `path` is relative to vireid/."""
    own = package_of(path)
    if own in ("__init__", "__main__"):
        return []
    if own not in FLOORS:
        return [f"{path}: the package {own} stands on no floor; give it one in {Path(__file__).name}"]
    problems = []
    for name in sorted({found.name for found in imports(source, path)}):
        if not name.startswith("vireid."):
            continue
        other = name.split(".")[1]
        if other == own or other.startswith("__"):
            continue
        allowed = other in ONLY[own] if own in ONLY else FLOORS.get(other, TOP) < FLOORS[own]
        if not allowed:
            problems.append(f"{path}: {own} may not import {other}")
    return problems


def problems_of_others(path: str, source: str) -> list[str]:
    """Sentences about packages of others that are imported in the wrong place. `path` is relative to vireid/."""
    problems = []
    for found in imports(source, path):
        top = found.name.split(".")[0]
        if top in OWNED and not path.startswith(OWNED[top]):
            problems.append(f"{path}: {top} may be imported in {OWNED[top]} only")
        if top in HEAVY and not found.inside:
            problems.append(f"{path}: {top} may be imported inside functions only")
    return problems


FILES = sorted((ROOT / "vireid").rglob("*.py"))


def relative(file: Path) -> str:
    return file.relative_to(ROOT / "vireid").as_posix()


def test_imports_go_down():
    problems = []
    for file in FILES:
        source = file.read_text(encoding="utf-8")
        problems += problems_of_floors(relative(file), source) + problems_of_others(relative(file), source)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("folder", ["tools", "benchmarks"])
def test_tools_import_heavy_packages_late(folder):
    problems = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        problems += problems_of_others(f"{folder}/{file.name}", file.read_text(encoding="utf-8"))
    assert [text for text in problems if "inside functions" in text] == []


def test_there_are_files_to_read():
    assert {"core", "layers", "data", "models", "losses", "engine", "config"} <= {
        package_of(relative(f)) for f in FILES
    }


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        (
            "losses/triplet.py",
            "from vireid.engine.trainer import Trainer",
            "losses/triplet.py: losses may not import engine",
        ),
        ("losses/a.py", "from vireid.models import net", "losses/a.py: losses may not import models"),
        ("losses/a.py", "from vireid import models", "losses/a.py: losses may not import models"),
        ("losses/a.py", "import vireid.data.images.cache as c", "losses/a.py: losses may not import data"),
        ("models/heads/a.py", "from ...retrieval import metrics", "models/heads/a.py: models may not import retrieval"),
        ("core/a.py", "def f():\n    from vireid.layers import norms", "core/a.py: core may not import layers"),
        (
            "evaluation/a.py",
            "from vireid.visualize import page",
            "evaluation/a.py: evaluation may not import visualize",
        ),
        ("engine/a.py", "from vireid.config.load import load_config", "engine/a.py: engine may not import config"),
        (
            "config/a.py",
            "from vireid.experiment.experiment import Experiment",
            "config/a.py: config may not import experiment",
        ),
        ("testing/a.py", "from vireid.layers import norms", "testing/a.py: testing may not import layers"),
        ("novel/a.py", "", "novel/a.py: the package novel stands on no floor; give it one in test_floors.py"),
    ],
)
def test_a_forbidden_import_is_found(path, source, expected):
    assert problems_of_floors(path, source) == [expected]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "losses/a.py",
            "from vireid.losses.b import x\nfrom vireid.core.types import Batch\nfrom vireid.layers import norms",
        ),
        ("losses/a.py", "from .b import x\nfrom ..core import types\nimport torch"),
        ("config/a.py", "import vireid.data\nimport yaml"),
        ("suites/a.py", "from vireid.config.load import load_config"),
    ],
)
def test_an_allowed_import_is_not(path, source):
    assert not problems_of_floors(path, source) + problems_of_others(path, source)


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("retrieval/a.py", "import faiss", ["retrieval/a.py: faiss may be imported inside functions only"]),
        (
            "visualize/a.py",
            "from matplotlib import pyplot",
            ["visualize/a.py: matplotlib may be imported inside functions only"],
        ),
        (
            "retrieval/a.py",
            "class A:\n    import sklearn.manifold",
            ["retrieval/a.py: sklearn may be imported inside functions only"],
        ),
        ("retrieval/a.py", "def f():\n    import faiss", []),
        ("retrieval/a.py", "if TYPE_CHECKING:\n    import faiss", []),
        (
            "models/net.py",
            "def f():\n    import timm",
            ["models/net.py: timm may be imported in models/backbones/timm_stages.py only"],
        ),
        ("models/backbones/timm_stages.py", "import timm", []),
        ("data/a.py", "from accelerate import Accelerator", ["data/a.py: accelerate may be imported in engine/ only"]),
        ("benchmark/a.py", "import yaml", ["benchmark/a.py: yaml may be imported in config/ only"]),
        ("core/a.py", "from yacs.config import CfgNode", ["core/a.py: yacs may be imported in config/ only"]),
    ],
)
def test_packages_of_others_stay_where_they_belong(path, source, expected):
    assert problems_of_others(path, source) == expected
