"""Layers of the package: every import points to a lower floor of docs/design/floors.yml.

The imports are read from the source of each file. Each rule is also tried on a source that breaks it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = yaml.safe_load((ROOT / "docs" / "design" / "floors.yml").read_text(encoding="utf-8"))
FLOORS = {package: number for number, packages in enumerate(TABLE["floors"]) for package in packages}
TOP = len(TABLE["floors"])  # floor of vireid/__init__.py, tools/ and benchmarks/, which no package imports


@dataclass(frozen=True)
class Import:
    """One imported module by its full name.

    `late`: inside a function or under TYPE_CHECKING, so that importing the file does not run it.
    """

    name: str
    late: bool


def imports(source: str, path: str) -> Iterator[Import]:
    """All imports of the file at `path` (relative to vireid/); relative imports are resolved."""
    package = ["vireid", *Path(path).parts[:-1]]

    def walk(node: ast.AST, late: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, late) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *filter(None, [child.module])])
                if module == "vireid":  # `from vireid import data` imports vireid.data
                    yield from (Import(f"vireid.{alias.name}", late) for alias in child.names)
                else:
                    yield Import(module, late)
            guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from walk(child, late or function or guarded)

    return walk(ast.parse(source), False)


def may_import(package: str, other: str) -> bool:
    """Whether a file of `package` may import from the package `other`."""
    if package in TABLE["only"]:
        return other in TABLE["only"][package]
    return other in TABLE["also"].get(package, ()) or FLOORS.get(other, TOP) < FLOORS[package]


def floor_problems(path: str, source: str) -> list[str]:
    """Imports between packages of vireid that the floors forbid. `path` is relative to vireid/."""
    package = Path(path).parts[0].removesuffix(".py")
    if package in ("__init__", "__main__"):
        return []
    if package not in FLOORS:
        return [f"{path}: the package {package} has no floor; add it to docs/design/floors.yml"]
    names = {each.name.split(".")[1] for each in imports(source, path) if each.name.startswith("vireid.")}
    forbidden = (name for name in sorted(names - {package}) if not name.startswith("__"))
    return [f"{path}: {package} may not import {name}" for name in forbidden if not may_import(package, name)]


def distribution_problems(path: str, source: str) -> list[str]:
    """Imports of other distributions in the wrong file or at the top of a file. `path` is relative to vireid/."""
    problems = []
    for each in imports(source, path):
        top = each.name.split(".")[0]
        home = TABLE["confined"].get(top)
        if home is not None and not path.startswith(home):
            problems.append(f"{path}: {top} may be imported in {home} only")
        if top in TABLE["late"] and not each.late:
            problems.append(f"{path}: {top} may be imported inside functions only")
    return problems


def test_every_import_of_the_package_is_allowed():
    files = sorted((ROOT / "vireid").rglob("*.py"))
    paths = {file.relative_to(ROOT / "vireid").as_posix(): file for file in files}
    assert set(FLOORS) == {path.split("/")[0] for path in paths if "/" in path}
    problems = []
    for path, file in paths.items():
        source = file.read_text(encoding="utf-8")
        problems += floor_problems(path, source) + distribution_problems(path, source)
    assert not problems, "\n".join(problems)


def test_scripts_import_optional_distributions_inside_functions():
    files = [file for folder in ("tools", "benchmarks") for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 20
    problems = [
        text
        for file in files
        for text in distribution_problems(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
        if "inside functions" in text
    ]
    assert not problems, "\n".join(problems)


FORBIDDEN = [
    ("losses/a.py", "from vireid.engine.trainer import Trainer", "losses may not import engine"),
    ("losses/a.py", "from vireid.models import net", "losses may not import models"),
    ("losses/a.py", "from vireid import models", "losses may not import models"),
    ("losses/a.py", "import vireid.data.images.cache as c", "losses may not import data"),
    ("models/heads/a.py", "from ...retrieval import metrics", "models may not import retrieval"),
    ("core/a.py", "def f():\n    from vireid.layers import norms", "core may not import layers"),
    ("evaluation/a.py", "from vireid.visualize import page", "evaluation may not import visualize"),
    ("engine/a.py", "from vireid.config.load import load_config", "engine may not import config"),
    ("config/a.py", "from vireid.experiment import Experiment", "config may not import experiment"),
    ("data/a.py", "from vireid.synthetic import write", "data may not import synthetic"),
    ("visualize/a.py", "from vireid.suites import page", "visualize may not import suites"),
    ("testing/a.py", "from vireid.layers import norms", "testing may not import layers"),
    ("novel/a.py", "", "the package novel has no floor; add it to docs/design/floors.yml"),
]
ALLOWED = [
    ("losses/a.py", "from vireid.losses.b import x\nfrom vireid.core.types import Batch\nimport vireid.layers.norms"),
    ("losses/a.py", "from .b import x\nfrom ..core import types\nimport torch"),
    ("config/a.py", "import vireid.data\nimport yaml"),
    ("suites/a.py", "from vireid.config.load import load_config\nfrom vireid.visualize import page"),
    ("synthetic/a.py", "from vireid.data.samplers import block"),
    ("__init__.py", "from vireid.cli import main"),
]


@pytest.mark.parametrize(("path", "source", "text"), FORBIDDEN)
def test_a_forbidden_import_is_reported(path, source, text):
    assert floor_problems(path, source) == [f"{path}: {text}"]


def test_allowed_imports_are_not_reported():
    for path, source in ALLOWED:
        assert not floor_problems(path, source) + distribution_problems(path, source), path


@pytest.mark.parametrize(
    ("path", "source", "text"),
    [
        ("retrieval/a.py", "import faiss", "faiss may be imported inside functions only"),
        ("visualize/a.py", "from matplotlib import pyplot", "matplotlib may be imported inside functions only"),
        ("retrieval/a.py", "class A:\n    import sklearn.manifold", "sklearn may be imported inside functions only"),
        ("retrieval/a.py", "def f():\n    import faiss", None),
        ("retrieval/a.py", "if TYPE_CHECKING:\n    import faiss", None),
        ("models/a.py", "def f():\n    import timm", "timm may be imported in models/backbones/ only"),
        ("models/backbones/timm_stages.py", "import timm", None),
        ("data/a.py", "from accelerate import Accelerator", "accelerate may be imported in engine/ only"),
        ("suites/a.py", "import yaml", "yaml may be imported in config/ only"),
        ("core/a.py", "from yacs.config import CfgNode", "yacs may be imported in config/ only"),
    ],
)
def test_other_distributions_are_imported_in_their_place(path, source, text):
    assert distribution_problems(path, source) == ([] if text is None else [f"{path}: {text}"])
