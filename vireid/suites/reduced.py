"""A suite at a smaller size: overrides for all rows and data sets, and the synthetic people that it runs on.

    SYNTHETIC:                 # data set -> people, made where they are missing
      sysu: {OUT: datasets/reduced/sysu, LAYOUT: sysu, IDENTITIES: 160, IMAGES: 6, SIZE: [96, 48]}
    OVERRIDES: {SIZE: [96, 48], SOLVER.EPOCHS: 8}
    COMPONENTS:                # only where a row has this component
      MODEL.HEADS.ATTRIBUTES: {NAME: AttributeHead, NECK: true}
    DATASETS: {sysu: {DATA.ROOT: datasets/reduced/sysu}}
    SEEDS: [0]

Overrides of a reduction win over those of the rows. Rows are reduced alike, so their order may mean something; their
numbers do not compare with published ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import ConfigError, UserError, nearest
from vireid.core.paths import normalized_path
from vireid.suites.suite import Suite
from vireid.synthetic import Recipe, write_dataset

KEYS = ("SYNTHETIC", "OVERRIDES", "COMPONENTS", "DATASETS", "SEEDS")
PEOPLE = ("OUT", "LAYOUT", "IDENTITIES", "IMAGES", "SEED", "SIZE", "DIFFICULTY", "TEST_IDENTITIES", "VAL_IDENTITIES")


@dataclass(frozen=True)
class Reduction:
    """What a suite is made smaller by."""

    synthetic: Mapping[str, tuple[Path, Recipe]] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, dataset: str) -> dict[str, Any]:
        """Overrides of a data set."""
        return {**self.overrides, **self.datasets.get(dataset, {})}

    def inside(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Overrides of the components that a resolved config has."""
        return {
            f"{place}.{key}": value
            for place, values in self.components.items()
            if (_node(tree, place) or {}).get("NAME") == values.get("NAME")
            for key, value in values.items()
            if key != "NAME"
        }

    def make_people(self, suite: Suite) -> None:
        """Write the synthetic people that the suite's data sets need and that are not there yet."""
        for dataset in suite.datasets:
            if dataset in self.synthetic:
                out, recipe = self.synthetic[dataset]
                write_dataset(out, recipe, workers=min(8, os.cpu_count() or 1))


def read_reduction(file: Path) -> Reduction:
    """Errors: UserError for a file that is not there, ConfigError with everything that is wrong with it."""
    try:
        parsed = parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--reduced {file}: cannot be read ({error.strerror})") from error
    problems = [f"{file.name}:{line}: {text}" for line, text in parsed.problems]
    tree = parsed.value if isinstance(parsed.value, dict) else {}
    problems += [f"{file.name}: {key} is no key of a reduction{nearest(key, KEYS)}" for key in tree if key not in KEYS]
    people = {}
    for name, node in tree.get("SYNTHETIC", {}).items():
        try:
            people[name] = _people(node)
        except (TypeError, KeyError, UserError) as error:
            problems.append(f"{file.name}: SYNTHETIC.{name}: {error} (keys: {', '.join(PEOPLE)})")
    for place, values in tree.get("COMPONENTS", {}).items():
        if not isinstance(values, Mapping) or "NAME" not in values:
            problems.append(f"{file.name}: COMPONENTS.{place} is not a map with the component's NAME and its changes")
    if problems:
        raise ConfigError(problems)
    seeds = tuple(tree.get("SEEDS", ()))
    return Reduction(people, tree.get("OVERRIDES", {}), tree.get("DATASETS", {}), seeds, tree.get("COMPONENTS", {}))


def _node(tree: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    node: Any = tree
    for key in place.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else None


def _people(node: Mapping[str, Any]) -> tuple[Path, Recipe]:
    strangers = [key for key in node if key not in PEOPLE]
    if strangers:
        raise UserError(f"{strangers[0]} is no key of synthetic people{nearest(strangers[0], PEOPLE)}")
    values: dict[str, Any] = {
        key.lower(): tuple(v) if isinstance(v, list) else v for key, v in node.items() if key != "OUT"
    }
    recipe = Recipe(**values)
    recipe.check()
    return normalized_path(node["OUT"]), recipe
