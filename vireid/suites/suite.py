"""A suite: rows of configs, data sets and seeds in one YAML file, and everything that is wrong with it at once.

    TITLE: MMD with and without attributes
    NOTE: free text above the table
    CONFIG: configs/sysu/mmd.yml         # of rows that name none; a list is merged in its order, as in _BASE_
    OVERRIDES: {SOLVER.EPOCHS: 8}        # of all rows
    DATASETS:                            # columns; {dataset} in a CONFIG stands for the name
      sysu: {DATA.ROOT: datasets/SYSU-MM01}
    SEEDS: [0, 1, 2]
    COLUMNS: [rank1, mAP]                # none: all metrics
    COSTS: [parameters, gflops, width]   # also latency, images_per_second, memory: measured on this machine
    PROTOCOLS: [all]                     # none: every entry of EVALUATION
    ROWS:
      "MMD": {}
      "MMD + PAE": {CONFIG: [configs/{dataset}/mmd.yml, configs/plugins/pae.yml], MODEL.X: 1}
    GRID:                                # more rows: every combination of one entry of each axis
      METHOD: {AGW: {CONFIG: configs/{dataset}/agw.yml}, HCT: {CONFIG: configs/{dataset}/hct.yml}}
      PLUGIN: {"": {}, "+ PAE": {CONFIG: configs/plugins/pae.yml}}
    COMPARE: MMD                         # differences of the other rows to this one
    REPORTED: {"MMD": table3/baseline}   # published numbers (benchmarks/reported.yml) beside the measured ones
    TOLERANCE: 1.0                       # points of rank-1 and mAP within which --check accepts a measured number
    FIGURES: {LOSSES: {KIND: curves, ROWS: [MMD], TERMS: [id]}}

A file name is looked for in the suite's folder, in the folder above it and where the command is run.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import ConfigError, UserError, nearest
from vireid.core.paths import normalized_path

METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
KEYS = (
    "TITLE",
    "NOTE",
    "CONFIG",
    "OVERRIDES",
    "DATASETS",
    "SEEDS",
    "COLUMNS",
    "COSTS",
    "PROTOCOLS",
    "ROWS",
    "GRID",
    "COMPARE",
    "REPORTED",
    "TOLERANCE",
    "FIGURES",
)
COSTS = ("parameters", "retrieval_parameters", "gflops", "width", "latency", "images_per_second", "memory")
DATASET = "{dataset}"  # in a CONFIG: the name of the data set


@dataclass(frozen=True)
class Row:
    """One line of a table: configs that are merged in this order, and what differs from them."""

    name: str
    configs: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """What is to be compared."""

    file: Path
    title: str
    rows: tuple[Row, ...]
    datasets: Mapping[str, Mapping[str, Any]]  # name -> overrides; {"": {}} where the suite names none
    seeds: tuple[int, ...]
    columns: tuple[str, ...]  # of METRICS
    protocols: tuple[str, ...]  # none: all
    costs: tuple[str, ...] = ()  # of COSTS
    note: str = ""
    compare: str = ""  # name of the row that the others are held against; "": none
    reported: Mapping[str, str] = field(default_factory=dict)  # row -> key in reported.yml
    tolerance: float = 1.0  # percentage points
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def find(self, name: str) -> Path:
        """A file named by the suite."""
        folders = (self.file.parent, self.file.parent.parent, Path.cwd())
        places = [normalized_path(name, folder) for folder in folders]
        return next((place.resolve() for place in places if place.is_file()), Path(name))


def read_suite(file: Path | str) -> Suite:
    """Read and check a suite. Errors: UserError for a file that is not there, ConfigError with every fault of it."""
    file = normalized_path(file)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        others = [path.name for path in file.parent.glob("*.yml")] if file.parent.is_dir() else []
        raise UserError(f"{file}: no suite can be read there ({error.strerror}){nearest(file.name, others)}") from error
    parsed = parse(text)
    problems = [f"{file.name}:{line}: {problem}" for line, problem in parsed.problems]
    if problems or not isinstance(parsed.value, dict):
        raise ConfigError(problems or [f"{file.name}:1: a suite is a map with ROWS"])
    reader = _Reader(file.name, parsed.value, parsed.lines)
    suite = reader.suite(file)
    if reader.problems:
        raise ConfigError(reader.problems)
    return suite


class _Reader:
    """Takes a suite's tree apart and collects what is wrong with it."""

    def __init__(self, name: str, tree: dict[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
        self.name, self.tree, self.lines = name, tree, lines
        self.problems: list[str] = []

    def say(self, keys: tuple[str, ...], text: str) -> None:
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), 1)
        self.problems.append(f"{self.name}:{line}: {'.'.join(keys)} {text}")

    def suite(self, file: Path) -> Suite:
        for key in self.tree:
            if key not in KEYS:
                self.say((key,), f"is no key of a suite{nearest(key, KEYS)}")
        rows = self._rows()
        names = [row.name for row in rows]
        if not rows and not self.problems:
            self.problems.append(f"{self.name}:1: neither ROWS nor GRID names a row: there is nothing to compare")
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            self.say(("GRID",), f"gives a second row named {name!r}")
        compare = self._get("COMPARE", str, "")
        if compare and compare not in names:
            self.say(("COMPARE",), f"= {compare!r} is no row{nearest(compare, names)}")
        reported = self._get("REPORTED", dict, {})
        for name in reported:
            if name not in names:
                self.say(("REPORTED", name), f"is no row{nearest(name, names)}")
        columns = self._get("COLUMNS", list, list(METRICS))
        for column in columns:
            if column not in METRICS:
                self.say(("COLUMNS",), f"has {column!r}, which is no metric{nearest(str(column), METRICS)}")
        costs = self._get("COSTS", list, [])
        for name in costs:
            if name not in COSTS:
                self.say(("COSTS",), f"has {name!r}, which is no cost{nearest(str(name), COSTS)}")
        seeds = self._get("SEEDS", list, [0])
        if not seeds or any(not isinstance(seed, int) or isinstance(seed, bool) or seed < 0 for seed in seeds):
            self.say(("SEEDS",), f"= {seeds} is not a list of whole numbers from 0 on")
        elif len(set(seeds)) < len(seeds):
            self.say(("SEEDS",), f"= {seeds} names a seed twice")
        datasets = self._get("DATASETS", dict, {"": {}}) or {"": {}}
        for name, overrides in datasets.items():
            if not isinstance(overrides, dict):
                self.say(("DATASETS", name), "is not a map of overrides (KEY: value)")
        tolerance = self.tree.get("TOLERANCE", 1.0)
        if not isinstance(tolerance, (int, float)) or tolerance <= 0:
            self.say(("TOLERANCE",), f"= {tolerance!r} is not a number of percentage points above 0")
        return Suite(
            file=file,
            title=self._get("TITLE", str, file.stem),
            note=self._get("NOTE", str, ""),
            rows=tuple(rows),
            datasets=datasets,
            seeds=tuple(seeds),
            columns=tuple(columns),
            protocols=tuple(self._get("PROTOCOLS", list, [])),
            costs=tuple(costs),
            compare=compare,
            reported=reported,
            tolerance=tolerance,
            figures=self._figures(names),
        )

    def _get(self, key: str, kind: type, default: Any) -> Any:
        value = self.tree.get(key, default)
        if not isinstance(value, kind):
            words = {str: "text", dict: "a map", list: "a list"}
            self.say((key,), f"is not {words[kind]}")
            return default
        return value

    def _rows(self) -> list[Row]:
        rows = []
        for name, node in self._get("ROWS", dict, {}).items():
            rows.append(self._row(name, [(("ROWS", name), node)]))
        axes = self._get("GRID", dict, {})
        for axis, entries in axes.items():
            if not isinstance(entries, dict) or not entries:
                self.say(("GRID", axis), "is not a map of entries")
                return rows
        if axes:
            for chosen in itertools.product(*(entries.items() for entries in axes.values())):
                places = [(("GRID", axis, name), node) for axis, (name, node) in zip(axes, chosen)]
                rows.append(self._row(" ".join(name for name, _ in chosen if name), places))
        return rows

    def _row(self, name: str, nodes: Sequence[tuple[tuple[str, ...], Any]]) -> Row:
        """A row of the nodes of its axes: configs one after the other, later overrides win."""
        common = self._get("OVERRIDES", dict, {})
        configs: list[str] = []
        overrides: dict[str, Any] = dict(common)
        for keys, node in nodes:
            if not isinstance(node, dict):
                self.say(keys, "is not a map of overrides (KEY: value), with CONFIG if it has its own")
                continue
            own = dict(node)
            configs += self._files((*keys, "CONFIG"), own.pop("CONFIG", []))
            overrides |= own
        if not configs:
            configs = self._files(("CONFIG",), self.tree.get("CONFIG", []))
            if not configs:
                self.say(nodes[0][0], "names no CONFIG, and the suite has none for all rows")
        return Row(name, tuple(configs), overrides)

    def _files(self, keys: tuple[str, ...], value: Any) -> list[str]:
        files = [value] if isinstance(value, str) else value
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            self.say(keys, f"= {value!r} is not a file name or a list of file names")
            return []
        return files

    def _figures(self, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        figures = self._get("FIGURES", dict, {})
        for figure, node in figures.items():
            if not isinstance(node, dict) or "KIND" not in node:
                self.say(("FIGURES", figure), "is not a map with KIND")
                continue
            for row in node.get("ROWS", []):
                if row not in names:
                    self.say(("FIGURES", figure, "ROWS"), f"has {row!r}, which is no row{nearest(str(row), names)}")
        return figures
