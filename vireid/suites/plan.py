"""From a suite to runs: each distinct resolved config once, under a name that is a digest of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.config import assemble
from vireid.config import show as explain
from vireid.config.defaults import SETTINGS
from vireid.config.load import BASE, Config
from vireid.config.yaml import dump
from vireid.core.errors import ConfigError, UserError, nearest
from vireid.core.io import write_text
from vireid.core.paths import normalized_path
from vireid.suites.reduced import Reduction
from vireid.suites.suite import DATASET, Row, Suite

DIGITS = 12  # of a digest in a folder's name


@dataclass(frozen=True)
class Run:
    """One training with its evaluation."""

    address: str  # digest of everything that decides its numbers
    config: Path
    overrides: Mapping[str, Any]
    resolved: str = field(repr=False)  # YAML with all defaults
    loaded: Config = field(repr=False, compare=False)  # checked

    def words(self) -> list[str]:
        """Arguments of tools/train_net.py, without OUTPUT_DIR."""
        return ["--config-file", str(self.config), "--resume", *(word for pair in self.pairs() for word in pair)]

    def pairs(self) -> list[tuple[str, str]]:
        """The overrides as they are typed."""
        return [(key, _word(value)) for key, value in self.overrides.items()]


@dataclass(frozen=True)
class Cell:
    """A row on one data set: a run for each seed."""

    row: Row
    dataset: str
    runs: Mapping[int, Run]  # by seed
    protocols: tuple[str, ...]  # lower-case names of EVALUATION
    synthetic: bool  # the people do not exist


@dataclass(frozen=True)
class SuitePlan:
    """All cells in the order of the suite."""

    suite: Suite
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> dict[str, Run]:
        """Each distinct run once, by address, in the order in which they are first needed."""
        return {run.address: run for cell in self.cells for run in cell.runs.values()}


def make_plan(
    suite: Suite,
    configs: Path,
    *,
    data: Sequence[str] = (),
    seeds: Sequence[int] = (),
    reduced: Reduction | None = None,
) -> SuitePlan:
    """Check every config of the suite and give each run its address.

    `configs`: folder in which rows of several configs get a file that has them as its bases.
    `data`: overrides of all rows, "KEY=VALUE", or of one data set, "DATASET:KEY=VALUE". `seeds` replace the suite's.
    `reduced`: overrides that make every row smaller.
    Errors: ConfigError with every fault of every row; no image is read.
    """
    given, reduced = _given(suite, data), reduced or Reduction()
    seeds = tuple(seeds) or reduced.seeds or suite.seeds
    problems: list[str] = []
    cells = []
    for row in suite.rows:
        for dataset, own in suite.datasets.items():
            place = f"row {row.name!r}" + (f" on {dataset}" if dataset else "")
            try:
                config = _config_file(suite, row, dataset, configs)
                overrides = {**own, **row.overrides, **reduced.of(dataset), **given.get("", {})}
                overrides |= given.get(dataset, {}) if dataset else {}
                cells.append(_cell(suite, row, dataset, config, overrides, seeds, reduced))
            except ConfigError as error:
                problems += [f"{place}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError([f"{suite.file.name}: {problem}" for problem in dict.fromkeys(problems)])
    return SuitePlan(suite, tuple(cells))


def _given(suite: Suite, data: Sequence[str]) -> dict[str, dict[str, str]]:
    given: dict[str, dict[str, str]] = {}
    for word in data:
        key, equals, value = word.partition("=")
        dataset, colon, rest = key.partition(":")
        if not equals or not key:
            raise UserError(f"--data {word}: write --data KEY=VALUE, as in DATA.ROOT=/path/to/SYSU-MM01")
        if colon and dataset not in suite.datasets:
            raise UserError(f"--data {word}: {dataset!r} is no data set of the suite{nearest(dataset, suite.datasets)}")
        given.setdefault(dataset if colon else "", {})[rest if colon else key] = value
    return given


def _config_file(suite: Suite, row: Row, dataset: str, folder: Path) -> Path:
    """The row's config; several become one file that has them as its bases."""
    files = [suite.find(name.replace(DATASET, dataset)) for name in row.configs]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        folders = {file: file.parent for file in files if not file.is_file()}
        hints = [nearest(file.name, [p.name for p in at.glob("*.yml")]) for file, at in folders.items() if at.is_dir()]
        raise ConfigError([f"{', '.join(missing)} does not exist{''.join(hints)}"])
    if len(files) == 1:
        return files[0]
    text = dump({BASE: [str(file) for file in files]})
    joined = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}.yml"
    write_text(joined, text)
    return joined


def _cell(
    suite: Suite,
    row: Row,
    dataset: str,
    config: Path,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    reduced: Reduction,
) -> Cell:
    runs, protocols, root = {}, (), ""
    own = reduced.inside(explain.resolved_tree(_loaded(config, overrides))) if reduced.components else {}
    for seed in seeds:
        words = {**overrides, **own, "SEED": seed}
        loaded = _loaded(config, words)
        tree = explain.resolved_tree(loaded)
        runs[seed] = Run(_address(tree), config, words, dump(tree), loaded)
        protocols = tuple(name.lower() for name in tree["EVALUATION"])
        root = str(tree["DATA"].get("ROOT", ""))
    strangers = [name for name in suite.protocols if name.lower() not in protocols]
    if strangers:
        known = f"{nearest(strangers[0], protocols)} (there are: {', '.join(protocols)})"
        raise ConfigError([f"PROTOCOLS has {strangers[0]!r}, which EVALUATION does not name{known}"])
    wanted = tuple(name for name in protocols if not suite.protocols or name in {p.lower() for p in suite.protocols})
    return Cell(row, dataset, runs, wanted, (normalized_path(root) / "synthetic.json").is_file())


def _loaded(config: Path, overrides: Mapping[str, Any]) -> Config:
    return assemble.load(config, [word for key, value in overrides.items() for word in (key, _word(value))])


def _address(tree: Mapping[str, Any]) -> str:
    """Digest of a resolved config without the settings that do not change its numbers.

    Paths count as they are written. What lies there is recorded with the results and compared (`benchmark.inputs`).
    """
    deciding = {key: value for key, value in tree.items() if key != "OUTPUT_DIR" and not _is_free(key)}
    text = json.dumps(deciding, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _is_free(key: str) -> bool:
    return key in SETTINGS and SETTINGS[key].free


def _word(value: Any) -> str:
    """A value as it is typed on a command line.

    >>> _word(1e-5), _word(True), _word("none"), _word([2, 3])
    ('1e-05', 'true', 'none', '[2, 3]')
    """
    return value if isinstance(value, str) else json.dumps(value)
