"""Suite files: rows of configs, datasets and seeds in one YAML file; all problems are reported at once.

    TITLE: MMD with and without attributes
    NOTE: free text above the table
    CONFIG: configs/sysu/mmd.yml         # default of all rows; a list is merged in its order, as in _BASE_
    OVERRIDES: {SOLVER.EPOCHS: 8}        # of all rows
    DATASETS:                            # columns; {dataset} in a CONFIG stands for the name
      sysu: {DATA.ROOT: datasets/SYSU-MM01}
    SEEDS: [0, 1, 2]
    COLUMNS: [rank1, mAP]                # default: all metrics
    COSTS: [parameters, gflops, width]   # also latency, images_per_second, memory: measured on this machine
    PROTOCOLS: [all]                     # default: every entry of EVALUATION
    ROWS:
      "MMD": {}
      "MMD + PAE": {CONFIG: [configs/{dataset}/mmd.yml, configs/plugins/pae.yml], MODEL.X: 1}
    EVALUATE_ON:                         # evaluate each trained run on these datasets instead of that of its training
      sysu: {CONFIG: configs/datasets/sysu.yml, DATA.ROOT: datasets/SYSU-MM01}  # DATA and EVALUATION of a config
    GRID:                                # more rows: every combination of one entry of each axis
      METHOD: {AGW: {CONFIG: configs/{dataset}/agw.yml}, HCT: {CONFIG: configs/{dataset}/hct.yml}}
      PLUGIN: {"": {}, "+ PAE": {CONFIG: configs/plugins/pae.yml}}
    COMPARE: MMD                         # baseline of the differences of the other rows
    REPORTED: {"MMD": table3/baseline}   # published numbers (reported.yml), shown with the measured ones
    TOLERANCE: 1.0                       # largest difference to the published rank-1 and mAP that --check accepts
    FIGURES: {LOSSES: {KIND: curves, ROWS: [MMD], TERMS: [id]}}

File names are relative to the folder of the suite, to its parent folder, to the current directory or to the shipped
files (`configs/...`), in this order. In a shipped suite, the shipped files precede the current directory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import ConfigError, Problem, UserError, closest, nearest
from vireid.core.paths import normalized_path
from vireid.evaluation.report import METRICS
from vireid.zoo.shipped import CONFIGS, SUITES, shipped_path

KEYS = (
    "TITLE",
    "NOTE",
    "CONFIG",
    "OVERRIDES",
    "DATASETS",
    "EVALUATE_ON",
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
NOT_SUITES = ("reduced", "reported")  # other files in the folder of the shipped suites
EVALUATION_KEYS = ("DATA", "EVALUATION")  # settings of an entry of EVALUATE_ON
DATASET = "{dataset}"  # placeholder in a CONFIG for the name of the dataset


@dataclass(frozen=True)
class Row:
    """A row of a table: configs that are merged in this order, and overrides."""

    name: str
    configs: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A checked suite file."""

    file: Path
    title: str
    rows: tuple[Row, ...]
    datasets: Mapping[str, Mapping[str, Any]]  # name -> overrides; {"": {}} if DATASETS is missing
    seeds: tuple[int, ...]
    columns: tuple[str, ...]  # of METRICS
    protocols: tuple[str, ...]  # empty: all
    costs: tuple[str, ...] = ()  # of COSTS
    note: str = ""
    compare: str = ""  # name of the baseline row; "": no comparison
    reported: Mapping[str, str] = field(default_factory=dict)  # row -> key in reported.yml
    tolerance: float = 1.0  # percentage points
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    evaluate_on: Mapping[str, Row] = field(default_factory=dict)  # test dataset -> configs and overrides; empty: none

    def find(self, name: str) -> Path:
        """Find a file that the suite names; the path may not exist."""
        suites = shipped_path(SUITES)
        shipped, current = [shipped_path(CONFIGS).parent, suites], [Path.cwd()]
        is_shipped = self.file.resolve().parent == suites.resolve()
        folders = [self.file.parent, self.file.parent.parent, *(shipped + current if is_shipped else current + shipped)]
        places = [normalized_path(name, folder) for folder in folders]
        return next((place.resolve() for place in places if place.is_file()), Path(name))


def list_suites() -> list[str]:
    """Return the names of the shipped suites.

    >>> list_suites()[:3]
    ['cross', 'demo', 'figure4']
    """
    return sorted(path.stem for path in shipped_path(SUITES).glob("*.yml") if path.stem not in NOT_SUITES)


def shipped_file(word: Path | str) -> Path:
    """Return the path of a suite or reduction that is given as a file, or as the name of a shipped one ("table3")."""
    file = normalized_path(word)
    shipped = shipped_path(SUITES) / f"{word}.yml"
    return shipped if len(Path(word).parts) == 1 and not file.is_file() and shipped.is_file() else file


def read_suite(file: Path | str) -> Suite:
    """Read and check a suite.

    Args:
        file: Suite file, or name of a shipped suite; see `list_suites`.

    Raises:
        UserError: If the file cannot be read.
        ConfigError: With all problems of the file.
    """
    file = shipped_file(file)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        suites = [path.name for path in file.parent.glob("*.yml")] if file.parent.is_dir() else []
        hint = nearest(file.name, suites) or nearest(file.stem, list_suites())
        known = f" (shipped suites: {', '.join(list_suites())})"
        raise UserError(f"{file}: the suite cannot be read ({error.strerror}){hint}{known}") from error
    parsed = parse(text)
    problems = [Problem(text, place=f"{file.name}:{line}") for line, text in parsed.problems]
    if problems or not isinstance(parsed.value, dict):
        raise ConfigError(problems or [Problem("a suite must be a map with ROWS or GRID", place=f"{file.name}:1")])
    reader = _Reader(file.name, parsed.value, parsed.lines)
    suite = reader.suite(file)
    if reader.problems:
        raise ConfigError(reader.problems)
    return suite


class _Reader:
    """Parse the tree of a suite file and collect its problems."""

    def __init__(self, name: str, tree: dict[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
        self.name, self.tree, self.lines = name, tree, lines
        self.problems: list[Problem] = []

    def report(self, keys: tuple[str, ...], text: str, word: object = None, known: Iterable[str] = ()) -> None:
        """Add a problem of a key; of a wrong word, with the nearest of the known ones."""
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), 1)
        suggestion = None if word is None else closest(str(word), known)
        self.problems.append(Problem(text, f"{self.name}:{line}", ".".join(keys), suggestion))

    def suite(self, file: Path) -> Suite:
        for key in self.tree:
            if key not in KEYS:
                self.report((key,), "is not a key of a suite", key, KEYS)
        rows = self._rows()
        names = [row.name for row in rows]
        if not rows and not self.problems:
            text = "ROWS and GRID are both missing or empty; write at least one row"
            self.problems.append(Problem(text, place=f"{self.name}:1"))
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            self.report(("GRID",), f"creates a second row named {name!r}; rename an entry")
        compare = self._get("COMPARE", str, "")
        if compare and compare not in names:
            self.report(("COMPARE",), f"= {compare!r} is not a row", compare, names)
        if compare and "EVALUATE_ON" in self.tree:
            self.report(("COMPARE",), "cannot be combined with EVALUATE_ON; remove one of them")
        reported = self._get("REPORTED", dict, {})
        for name in reported:
            if name not in names:
                self.report(("REPORTED", name), "is not a row", name, names)
        columns = self._get("COLUMNS", list, list(METRICS))
        for column in columns:
            if column not in METRICS:
                self.report(("COLUMNS",), f"has {column!r}, which is not a metric", column, METRICS)
        costs = self._get("COSTS", list, [])
        for name in costs:
            if name not in COSTS:
                self.report(("COSTS",), f"has {name!r}, which is not a cost", name, COSTS)
        seeds = self._get("SEEDS", list, [0])
        if not seeds or any(not isinstance(seed, int) or isinstance(seed, bool) or seed < 0 for seed in seeds):
            self.report(("SEEDS",), f"= {seeds} is not a list of integers of at least 0")
        elif len(set(seeds)) < len(seeds):
            self.report(("SEEDS",), f"= {seeds} contains a seed twice")
        datasets = self._get("DATASETS", dict, {"": {}}) or {"": {}}
        for name, overrides in datasets.items():
            if not isinstance(overrides, dict):
                self.report(("DATASETS", name), "is not a map of overrides (KEY: value)")
        tolerance = self.tree.get("TOLERANCE", 1.0)
        if not isinstance(tolerance, (int, float)) or tolerance <= 0:
            self.report(("TOLERANCE",), f"= {tolerance!r} is not a positive number (of percentage points)")
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
            evaluate_on=self._evaluate_on(),
        )

    def _get(self, key: str, kind: type, default: Any) -> Any:
        value = self.tree.get(key, default)
        if not isinstance(value, kind):
            words = {str: "text", dict: "a map", list: "a list"}
            self.report((key,), f"is not {words[kind]}")
            return default
        return value

    def _evaluate_on(self) -> dict[str, Row]:
        targets = {}
        for name, node in self._get("EVALUATE_ON", dict, {}).items():
            keys = ("EVALUATE_ON", name)
            if not isinstance(node, dict) or "CONFIG" not in node:
                self.report(keys, "is not a map with CONFIG: FILE.yml, whose DATA and EVALUATION are used")
                continue
            settings = dict(node)
            configs = self._files((*keys, "CONFIG"), settings.pop("CONFIG"))
            for key in settings:
                if key.partition(".")[0] not in EVALUATION_KEYS:
                    text = "has no effect on an evaluation; only DATA and EVALUATION can be set here"
                    self.report((*keys, key), text, key, EVALUATION_KEYS)
            targets[name] = Row(name, tuple(configs), settings)
        return targets

    def _rows(self) -> list[Row]:
        rows = []
        for name, node in self._get("ROWS", dict, {}).items():
            rows.append(self._row(name, [(("ROWS", name), node)]))
        axes = self._get("GRID", dict, {})
        for axis, entries in axes.items():
            if not isinstance(entries, dict) or not entries:
                self.report(("GRID", axis), "is not a map of entries")
                return rows
        if axes:
            for chosen in itertools.product(*(entries.items() for entries in axes.values())):
                places = [(("GRID", axis, name), node) for axis, (name, node) in zip(axes, chosen)]
                rows.append(self._row(" ".join(name for name, _ in chosen if name), places))
        return rows

    def _row(self, name: str, nodes: Sequence[tuple[tuple[str, ...], Any]]) -> Row:
        """Merge the nodes of a row: configs in order, later overrides win."""
        common = self._get("OVERRIDES", dict, {})
        configs: list[str] = []
        overrides: dict[str, Any] = dict(common)
        for keys, node in nodes:
            if not isinstance(node, dict):
                self.report(keys, "is not a map of overrides (KEY: value), with CONFIG if needed")
                continue
            settings = dict(node)
            configs += self._files((*keys, "CONFIG"), settings.pop("CONFIG", []))
            overrides |= settings
        if not configs:
            configs = self._files(("CONFIG",), self.tree.get("CONFIG", []))
            if not configs:
                self.report(nodes[0][0], "has no CONFIG, and neither has the suite; write CONFIG: FILE.yml")
        return Row(name, tuple(configs), overrides)

    def _files(self, keys: tuple[str, ...], value: Any) -> list[str]:
        files = [value] if isinstance(value, str) else value
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            self.report(keys, f"= {value!r} is not a file name or a list of file names")
            return []
        return files

    def _figures(self, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        figures = self._get("FIGURES", dict, {})
        for figure, node in figures.items():
            if not isinstance(node, dict) or "KIND" not in node:
                self.report(("FIGURES", figure), "is not a map with KIND")
                continue
            for row in node.get("ROWS", []):
                if row not in names:
                    self.report(("FIGURES", figure, "ROWS"), f"has {row!r}, which is not a row", row, names)
        return figures
