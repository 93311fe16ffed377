"""Reductions: run a suite at a smaller size on synthetic datasets.

    SYNTHETIC:                 # dataset -> parameters; written if it is missing
      sysu: {OUT: datasets/reduced/sysu, LAYOUT: sysu, IDENTITIES: 160, IMAGES: 6, SIZE: [96, 48]}
    OVERRIDES: {SIZE: [96, 48], SOLVER.EPOCHS: 8}
    COMPONENTS:                # only in rows that have this component
      MODEL.HEADS.ATTRIBUTES: {NAME: AttributeHead, NECK: true}
    DATASETS: {sysu: {DATA.ROOT: datasets/reduced/sysu}}
    SEEDS: [0]

Overrides of a reduction win over those of the rows. All rows are reduced in the same way. Their results cannot be
compared with published numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import ConfigError, Problem, UserError, closest, nearest
from vireid.core.paths import normalized_path
from vireid.suites.suite import Suite, shipped_file
from vireid.synthetic import Recipe, write_dataset

KEYS = ("SYNTHETIC", "OVERRIDES", "COMPONENTS", "DATASETS", "SEEDS")
SYNTHETIC_KEYS = (
    "OUT",
    "LAYOUT",
    "IDENTITIES",
    "IMAGES",
    "SEED",
    "SIZE",
    "DIFFICULTY",
    "TEST_IDENTITIES",
    "VAL_IDENTITIES",
)


@dataclass(frozen=True)
class Reduction:
    """Overrides and synthetic datasets of a reduced suite."""

    synthetic: Mapping[str, tuple[Path, Recipe]] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, dataset: str) -> dict[str, Any]:
        """Return the overrides of a dataset."""
        return {**self.overrides, **self.datasets.get(dataset, {})}

    def inside(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Return the overrides of the components that a resolved config contains."""
        return {
            f"{place}.{key}": value
            for place, values in self.components.items()
            if (_node(tree, place) or {}).get("NAME") == values.get("NAME")
            for key, value in values.items()
            if key != "NAME"
        }

    def write_datasets(self, suite: Suite) -> None:
        """Write the synthetic datasets of the suite that are missing."""
        for dataset in dict.fromkeys([*suite.datasets, *suite.evaluate_on]):
            if dataset in self.synthetic:
                out, recipe = self.synthetic[dataset]
                write_dataset(out, recipe, workers=min(8, os.cpu_count() or 1))


def read_reduction(file: Path | str) -> Reduction:
    """Read and check a reduction.

    Args:
        file: A file, or "reduced" for the shipped one.

    Raises:
        UserError: If the file cannot be read.
        ConfigError: With all problems of the file.
    """
    file = shipped_file(file)
    try:
        parsed = parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--reduced {file}: cannot be read ({error.strerror})") from error
    problems = [Problem(text, place=f"{file.name}:{line}") for line, text in parsed.problems]
    tree = parsed.value if isinstance(parsed.value, dict) else {}
    problems += [
        Problem("is not a key of a reduction", file.name, key, closest(key, KEYS)) for key in tree if key not in KEYS
    ]
    datasets = {}
    for name, node in tree.get("SYNTHETIC", {}).items():
        try:
            datasets[name] = _synthetic(node)
        except (TypeError, KeyError, UserError) as error:
            known = f"(keys: {', '.join(SYNTHETIC_KEYS)})"
            problems.append(Problem(f": {error}", file.name, f"SYNTHETIC.{name}", note=known))
    for place, values in tree.get("COMPONENTS", {}).items():
        if not isinstance(values, Mapping) or "NAME" not in values:
            text = "is not a map with NAME and the arguments to override"
            problems.append(Problem(text, file.name, f"COMPONENTS.{place}"))
    if problems:
        raise ConfigError(problems)
    seeds = tuple(tree.get("SEEDS", ()))
    return Reduction(datasets, tree.get("OVERRIDES", {}), tree.get("DATASETS", {}), seeds, tree.get("COMPONENTS", {}))


def _node(tree: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    node: Any = tree
    for key in place.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else None


def _synthetic(node: Mapping[str, Any]) -> tuple[Path, Recipe]:
    unknown = [key for key in node if key not in SYNTHETIC_KEYS]
    if unknown:
        raise UserError(f"{unknown[0]} is not a key of a synthetic dataset{nearest(unknown[0], SYNTHETIC_KEYS)}")
    values: dict[str, Any] = {
        key.lower(): tuple(v) if isinstance(v, list) else v for key, v in node.items() if key != "OUT"
    }
    recipe = Recipe(**values)
    recipe.check()
    return normalized_path(node["OUT"]), recipe
