"""The check of a whole configuration, before any file of the dataset is opened.

`load_checked` reads files. `check_config` compares every node with its constructor, then builds network and objective
once, without weights or memory (`dry_run`). The result is a `CheckedConfig`, from which `Build` makes objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import vireid.clustering
import vireid.data
import vireid.engine.loggers
import vireid.engine.optim
import vireid.evaluation
import vireid.losses
import vireid.models
import vireid.retrieval  # noqa: F401  importing all of these fills the registries
from vireid.config.checked import CheckedConfig, Components, StaticCheck
from vireid.config.coerce import Mismatch, shown
from vireid.config.component import construct
from vireid.config.dry_run import DryRun, dry_run
from vireid.config.imports import import_modules
from vireid.config.labels import label_problems, makes_labels, without_annotation
from vireid.config.load import BASE, Config, read_config
from vireid.config.nodes import NONE, NodeChecker
from vireid.config.schema import BY_PATH, SETTINGS, SLOTS, Slot, conflicts
from vireid.config.yaml import Keys
from vireid.core.errors import ConfigError, DataError, Problem, closest
from vireid.core.types import DatasetInfo

UNKNOWN_DATA = DatasetInfo(num_ids=2, num_cameras=2)  # for a dataset class without a placeholder

_SECTIONS = {keys[:-1] for keys in [*BY_PATH, *(s.path for s in SETTINGS.values())] if len(keys) > 1}  # MODEL


def load_checked(path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> CheckedConfig:
    """Read a config file with its bases and check it; no file of the dataset is opened.

    Args:
        path: A YAML file.
        overrides: Settings that win over the file: `["KEY", "VALUE", ...]` as on the command line, or a mapping.

    Raises:
        ConfigError: With all problems of the files and of their content.
    """
    config, problems = read_config(path, overrides)
    return _checked(config, problems)


def load_config(path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> Config:
    """The settings of a config file, after the same check as `load_checked`.

    Args:
        path: A YAML file.
        overrides: Settings that win over the file: `["KEY", "VALUE", ...]` as on the command line, or a mapping.

    Raises:
        ConfigError: With all problems of the files and of their content.
    """
    return load_checked(path, overrides).config


def check_config(config: Config, info: DatasetInfo | None = None) -> CheckedConfig:
    """Check settings, nodes and how parts fit together.

    Sound parts are built once on the meta device without pretrained weights, so that constructors and bindings report
    their problems, too. The global random state is unchanged.

    Args:
        config: A configuration that was read, or made by `make_config`.
        info: Numbers of the dataset; None: the placeholder of the dataset class.

    Raises:
        ConfigError: With all problems.
    """
    return _checked(config, [], info)


def problems_of(config: Config, info: DatasetInfo | None = None) -> list[Problem]:
    """The problems for which `check_config` raises; empty for a configuration that is sound."""
    try:
        check_config(config, info)
    except ConfigError as error:
        return list(error.problems)
    return []


def _checked(config: Config, problems: Sequence[Problem], info: DatasetInfo | None = None) -> CheckedConfig:
    static = static_check(config, info)
    found = [*problems, *dry_run(static).problems]
    if found:
        raise ConfigError(found)
    return CheckedConfig(config, static.components, static.info)


def built_once(checked: CheckedConfig) -> DryRun:
    """Network and objective of a checked configuration on the meta device, for their shapes and bindings."""
    return dry_run(StaticCheck(checked.config, checked.info, [], checked.components))


def static_check(config: Config, info: DatasetInfo | None = None) -> StaticCheck:
    """Compare a configuration with the schema and the constructors; imports the modules of IMPORTS first."""
    problems = import_modules(config)
    data = _slot_value(config, BY_PATH[("DATA",)])
    if info is None:
        info = _placeholder(config, data)
    checker = NodeChecker(config, info)
    checker.problems.extend(problems)
    excused = _unknown_keys(checker, config)
    broken = _settings(checker, config)
    components: dict[str, Any] = {}
    for slot in SLOTS:
        before = len(checker.problems)
        value = components[slot.key] = _slot(checker, slot, _slot_value(config, slot), excused)
        if len(checker.problems) > before or (slot.required and not value):
            broken.add(slot.key)
    found = Components(MappingProxyType(components))
    if _views(checker, found) | _epochs(checker, found):
        broken.add("AUGMENTATION")
    if "HELDOUT_IDENTITIES" not in broken:
        _open_sets(checker, found)
    info = info or UNKNOWN_DATA
    if makes_labels(found):
        info = without_annotation(info)
    problems = [*checker.problems, *label_problems(found)]
    broken |= {slot.key for problem in problems for slot in SLOTS if f"{problem.key}.".startswith(f"{slot.key}.")}
    return StaticCheck(config, info, problems, found, broken)


def _views(checker: NodeChecker, components: Components) -> bool:
    """Report augmentations of views that no entry of VIEWS makes."""
    modalities = [view.extras.get("MODALITY") for view in components.entries("VIEWS").values()]
    before = len(checker.problems)
    for augmentation in components.entries("AUGMENTATION").values():
        view, modality = augmentation.extras.get("VIEW"), augmentation.extras.get("MODALITY")
        if not view:
            continue
        reason = f"VIEWS has {len(modalities)} {'entry' if len(modalities) == 1 else 'entries'}"
        if view <= len(modalities):
            of_view = modalities[view - 1]
            if None in (modality, of_view) or modality == of_view:
                continue
            reason = f"entry {view} of VIEWS is of {of_view} images"
        checker.report((*augmentation.keys, "VIEW"), f"= {view}, but {reason}")
    return len(checker.problems) > before


def _epochs(checker: NodeChecker, components: Components) -> bool:
    """Report augmentations that are used in no epoch."""
    before = len(checker.problems)
    for augmentation in components.entries("AUGMENTATION").values():
        start, stop = augmentation.extras.get("START") or 0, augmentation.extras.get("STOP")
        if stop is not None and stop <= start:
            text = f"= {stop} is the first epoch without it, but its first epoch is START = {start}; set a larger STOP"
            checker.report((*augmentation.keys, "STOP"), text)
    return len(checker.problems) > before


def _open_sets(checker: NodeChecker, components: Components) -> None:
    """Report open-set evaluations whose threshold needs held-out identities that are trained on."""
    held = checker.config["HELDOUT_IDENTITIES"]
    for evaluation in components.entries("EVALUATION").values():
        open_set = evaluation.extras.get("OPEN_SET")
        if open_set is None or open_set.arguments.get("threshold", "heldout") != "heldout" or held > 1:
            continue
        checker.report(
            (*evaluation.keys, "OPEN_SET"),
            f"takes its threshold from held-out identities, and HELDOUT_IDENTITIES = {held}; set it to 2 or more (30"
            " for an FPIR of 10 %), or OPEN_SET.THRESHOLD oracle",
        )


def _placeholder(config: Config, node: Any) -> DatasetInfo | None:
    """The numbers that a dataset declares without its files; None if its node has problems."""
    slot = BY_PATH[("DATA",)]
    checker = NodeChecker(config)
    data = checker.component(slot.path, node, slot.registry, extras=slot.extras) if node is not None else None
    if data is None:
        return None
    try:
        return getattr(construct(data, {}), "placeholder", UNKNOWN_DATA)
    except (ConfigError, DataError):
        return getattr(data.entry.target, "placeholder", UNKNOWN_DATA)


def _slot_value(config: Config, slot: Slot) -> Any:
    """The node of a slot; the default node fills a missing node or a missing NAME. None without either."""
    value = config.value(slot.path)
    if slot.default is None or not (value is None or (isinstance(value, dict) and "NAME" not in value)):
        return value
    return {**slot.default, **(value or {})}


def _slot(checker: NodeChecker, slot: Slot, value: Any, excused: set[Keys]) -> Any:
    if value is None:
        if slot.required and not any(slot.path[: len(keys)] == keys for keys in excused):
            known = ", ".join(slot.registry.names())
            what = "a map of entries, each with" if slot.is_map else "it needs"
            checker.report(slot.path, f"is missing: {what} a NAME (known: {known})")
        return {} if slot.is_map else None
    if slot.is_map:
        components = checker.entries(slot.path, value, slot.registry, extras=slot.extras, runtime=slot.runtime)
        if slot.required and isinstance(value, dict) and all(_is_none(node) for node in value.values()):
            checker.report(slot.path, f"has no entries; at least one {slot.registry.kind} is needed")
        return components
    component = checker.component(slot.path, value, slot.registry, extras=slot.extras, runtime=slot.runtime)
    if component is None and slot.required and isinstance(value, Mapping) and value.get("NAME") == NONE:
        checker.report((*slot.path, "NAME"), f"= 'none', but a {slot.registry.kind} is needed")
    return component


def _is_none(node: Any) -> bool:
    return isinstance(node, dict) and node.get("NAME") == NONE


def _unknown_keys(checker: NodeChecker, config: Config) -> set[Keys]:
    """Report keys that are neither a setting nor a slot; return the slots that they were probably meant to be."""
    excused: set[Keys] = set()
    paths = [*BY_PATH, *(setting.path for setting in SETTINGS.values())]
    for section in [(), *sorted(_SECTIONS)]:
        node = config.value(section, {}) if section else config
        if not isinstance(node, dict):
            checker.report(section, f"= {shown(node)} is not a map of settings")
            excused.add(section)
            continue
        depth = len(section)
        known = list(dict.fromkeys(keys[depth] for keys in paths if len(keys) > depth and keys[:depth] == section))
        for key in node:
            if key in known:
                continue
            suggestion = closest(key, known if section else [*known, BASE])
            note = "" if suggestion else f"(known: {', '.join(known)})"
            checker.report((*section, key), "is not a setting", suggestion=suggestion, note=note)
            if suggestion and (*section, suggestion) not in config.origins.written:
                excused.add((*section, suggestion))
    return excused


def _settings(checker: NodeChecker, config: Config) -> set[str]:
    """Report values that settings refuse; return the keys of those."""
    broken = set()
    for setting in SETTINGS.values():
        section = config.value(setting.path[:-1]) if len(setting.path) > 1 else config
        if not isinstance(section, dict):
            continue
        value = config.value(setting.path)
        try:
            setting.convert(value)
        except Mismatch as mismatch:
            checker.report(setting.path, f"= {shown(value)} {mismatch.text}", suggestion=mismatch.suggestion)
            broken.add(setting.key)
    if not broken:
        for key, text in conflicts(config):
            checker.report((key,), f"= {shown(config[key])} {text}")
    return broken
