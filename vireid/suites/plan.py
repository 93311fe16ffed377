"""Plan the runs of a suite: each distinct resolved config once, addressed by a digest of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vireid.config import show as explain
from vireid.config.check import load_checked
from vireid.config.checked import CheckedConfig
from vireid.config.load import BASE, Config, plain, read_unchecked
from vireid.config.schema import SETTINGS
from vireid.config.yaml import dump
from vireid.core.errors import ConfigError, Problem, UserError, nearest
from vireid.core.io import write_text
from vireid.core.paths import normalized_path
from vireid.suites.reduced import Reduction
from vireid.suites.suite import DATASET, EVALUATION_KEYS, Row, Suite

UNUSED_SAMPLER = {"NAME": "IdentityModalitySampler", "IDENTITIES": 2, "PER_MODALITY": 1}
DIGITS = 12  # of a digest in a folder name


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of a trained run on a dataset of EVALUATE_ON."""

    name: str
    address: str  # digest of all settings that its results depend on
    config: Path
    protocols: tuple[str, ...]  # lower-case names of EVALUATION
    synthetic: bool  # whether the test dataset is synthetic
    checked: CheckedConfig = field(repr=False, compare=False)


@dataclass(frozen=True)
class Run:
    """A training run with its evaluation."""

    address: str  # digest of all settings that its results depend on
    config: Path
    overrides: Mapping[str, Any]
    resolved: str = field(repr=False)  # YAML with all defaults
    checked: CheckedConfig = field(repr=False, compare=False)
    evaluations: tuple[Evaluation, ...] = ()  # one for each entry of EVALUATE_ON

    def words(self) -> list[str]:
        """Return the arguments of `vireid train`, without OUTPUT_DIR."""
        return ["--config-file", str(self.config), "--resume", *(word for pair in self.pairs() for word in pair)]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the overrides as on a command line."""
        return [(key, _word(value)) for key, value in self.overrides.items()]

    @property
    def epochs(self) -> int:
        """Number of epochs to train."""
        return int(self.checked.config.SOLVER.EPOCHS)


@dataclass(frozen=True)
class Cell:
    """A row on one dataset: one run for each seed."""

    row: Row
    dataset: str
    runs: Mapping[int, Run]  # by seed
    protocols: tuple[str, ...]  # lower-case names of EVALUATION
    synthetic: bool  # whether the dataset is synthetic


@dataclass(frozen=True)
class SuitePlan:
    """All cells in the order of the suite."""

    suite: Suite
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> dict[str, Run]:
        """Each distinct run once, by address, in the order of the suite."""
        return {run.address: run for cell in self.cells for run in cell.runs.values()}

    @property
    def labels(self) -> dict[str, str]:
        """Row, dataset and seed of each distinct run, by address; of the first cell that contains it."""
        labels: dict[str, str] = {}
        for cell in self.cells:
            place = f"{cell.row.name} on {cell.dataset}" if cell.dataset else cell.row.name
            for seed, run in cell.runs.items():
                labels.setdefault(run.address, f"{place}, seed {seed}")
        return labels


def make_plan(
    suite: Suite,
    configs: Path,
    *,
    data: Sequence[str] = (),
    seeds: Sequence[int] = (),
    reduced: Reduction | None = None,
) -> SuitePlan:
    """Check every config of a suite and compute the address of each run; no image is read.

    Args:
        suite: The suite.
        configs: Folder for generated config files, of rows that merge several configs.
        data: Overrides of all rows, "KEY=VALUE", or of one dataset, "DATASET:KEY=VALUE".
        seeds: Replace the seeds of the suite.
        reduced: Overrides that make every row smaller.

    Raises:
        ConfigError: With every problem of every row.
    """
    command_line, reduced = _by_dataset(suite, data), reduced or Reduction()
    seeds = tuple(seeds) or reduced.seeds or suite.seeds
    problems: list[Problem] = []
    cells = []
    for row in suite.rows:
        for dataset, settings in suite.datasets.items():
            place = f"row {row.name!r}" + (f" on {dataset}" if dataset else "")
            try:
                config = _config_file(suite, row, dataset, configs)
                overrides = {**settings, **row.overrides, **reduced.of(dataset), **command_line.get("", {})}
                overrides |= command_line.get(dataset, {}) if dataset else {}
                targets = _targets(suite, configs, reduced, command_line)
                cells.append(_cell(suite, row, dataset, config, overrides, seeds, reduced, targets, configs))
            except ConfigError as error:
                head = f"{suite.file.name}: {place}"
                problems += [replace(p, place=f"{head}: {p.place}" if p.place else head) for p in error.problems]
    if problems:
        raise ConfigError(problems)
    return SuitePlan(suite, tuple(cells))


def _by_dataset(suite: Suite, data: Sequence[str]) -> dict[str, dict[str, str]]:
    """Parse --data: overrides by dataset; "" for those of all rows."""
    overrides: dict[str, dict[str, str]] = {}
    for word in data:
        key, equals, value = word.partition("=")
        dataset, colon, rest = key.partition(":")
        if not equals or not key:
            raise UserError(f"--data {word}: write --data KEY=VALUE, as in DATA.ROOT=/path/to/SYSU-MM01")
        known = [*suite.datasets, *suite.evaluate_on]
        if colon and dataset not in known:
            raise UserError(f"--data {word}: the suite has no dataset {dataset!r}{nearest(dataset, known)}")
        overrides.setdefault(dataset if colon else "", {})[rest if colon else key] = value
    return overrides


def _config_file(suite: Suite, row: Row, dataset: str, folder: Path) -> Path:
    """Return the config file of a row; several configs are merged by a generated file that lists them in _BASE_."""
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
    targets: Mapping[str, Config],
    folder: Path,
) -> Cell:
    runs, protocols, synthetic = {}, (), False
    component_overrides = (
        reduced.inside(explain.resolved_tree(_checked(config, overrides))) if reduced.components else {}
    )
    for seed in seeds:
        words = {**overrides, **component_overrides, "SEED": seed}
        checked = _checked(config, words)
        tree = explain.resolved_tree(checked)
        evaluations = tuple(_evaluation(name, target, tree, folder) for name, target in targets.items())
        runs[seed] = Run(_address(tree), config, words, dump(tree), checked, evaluations)
        protocols = tuple(name.lower() for name in tree["EVALUATION"])
        synthetic = _is_synthetic(tree["DATA"])
        if evaluations:
            protocols = tuple(dict.fromkeys(name for each in evaluations for name in each.protocols))
    unknown = [name for name in suite.protocols if name.lower() not in protocols]
    if unknown:
        known = f"{nearest(unknown[0], protocols)} (EVALUATION has: {', '.join(protocols)})"
        raise ConfigError([f"PROTOCOLS has {unknown[0]!r}, which is not an entry of EVALUATION{known}"])
    selected = tuple(name for name in protocols if not suite.protocols or name in {p.lower() for p in suite.protocols})
    return Cell(row, dataset, runs, selected, synthetic)


def _is_synthetic(data: Mapping[str, Any]) -> bool:
    """Whether the dataset of a resolved DATA is synthetic; of joined datasets, whether any is."""
    parts = data.get("DATASETS")
    if isinstance(parts, Mapping):
        return any(_is_synthetic(part) for part in parts.values())
    return (normalized_path(str(data.get("ROOT", ""))) / "synthetic.json").is_file()


def _targets(
    suite: Suite, configs: Path, reduced: Reduction, command_line: Mapping[str, Mapping[str, str]]
) -> dict[str, Config]:
    """Read the config of each entry of EVALUATE_ON."""
    targets = {}
    for name, target in suite.evaluate_on.items():
        own = {key: value for key, value in reduced.datasets.get(name, {}).items() if _top(key) in EVALUATION_KEYS}
        overrides = {**target.overrides, **own, **command_line.get(name, {})}
        words = [word for key, value in overrides.items() for word in (key, _word(value))]
        targets[name] = read_unchecked(_config_file(suite, target, name, configs), words)
    return targets


def _top(key: str) -> str:
    return key.partition(".")[0]


def _evaluation(name: str, target: Config, trained: Mapping[str, Any], folder: Path) -> Evaluation:
    """Plan the evaluation of a run on another dataset: its config with DATA and EVALUATION of the target."""
    of_target = {key: plain(target.value((key,), {})) for key in EVALUATION_KEYS}
    # an evaluation draws no batches, and the sampler of the training may name datasets that it has not
    tree = {
        **trained,
        **of_target,
        "SAMPLER": UNUSED_SAMPLER,
        **{key: SETTINGS[key].default for key in ("WEIGHTS", "OUTPUT_DIR")},
    }
    text = dump({**tree, "TENSORBOARD": False})
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}.yml"
    write_text(file, text)
    try:
        checked = load_checked(file)
    except ConfigError as error:
        head = f"EVALUATE_ON.{name}"
        raise ConfigError(
            replace(p, place=f"{head}: {p.place}" if p.place else head) for p in error.problems
        ) from error
    resolved = explain.resolved_tree(checked)
    protocols = tuple(each.lower() for each in resolved["EVALUATION"])
    return Evaluation(name, _address(resolved), file, protocols, _is_synthetic(resolved["DATA"]), checked)


def _checked(config: Path, overrides: Mapping[str, Any]) -> CheckedConfig:
    return load_checked(config, [word for key, value in overrides.items() for word in (key, _word(value))])


def _address(tree: Mapping[str, Any]) -> str:
    """Compute the digest of a resolved config without the settings that do not change its results.

    Paths count as text. The content of the files is recorded with the results and compared (`suites/inputs.py`).
    """
    relevant = {key: value for key, value in tree.items() if key != "OUTPUT_DIR" and not _is_free(key)}
    text = json.dumps(relevant, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _is_free(key: str) -> bool:
    return key in SETTINGS and SETTINGS[key].free


def _word(value: Any) -> str:
    """Format a value for a command line.

    >>> _word(1e-5), _word(True), _word("none"), _word([2, 3])
    ('1e-05', 'true', 'none', '[2, 3]')
    """
    return value if isinstance(value, str) else json.dumps(value)
