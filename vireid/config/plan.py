"""A whole config against settings, sections and registries: everything that can be checked without building."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import vireid.data
import vireid.engine.optim
import vireid.evaluation
import vireid.losses
import vireid.models
import vireid.retrieval  # noqa: F401  importing all of these fills the registries
from vireid.config.builder import Part, Planner, construct
from vireid.config.coerce import Mismatch, shown
from vireid.config.defaults import SETTINGS, disagreements
from vireid.config.imports import import_modules
from vireid.config.load import BASE, Config
from vireid.config.slots import BY_PATH, SLOTS, Slot
from vireid.config.yaml import Keys
from vireid.core.errors import ConfigError, DataError, nearest
from vireid.core.types import DatasetInfo

UNKNOWN_DATA = DatasetInfo(num_ids=2, num_cameras=2)  # stands in for a data set whose class declares no placeholder

_GROUPS = {keys[:-1] for keys in [*BY_PATH, *(s.path for s in SETTINGS.values())] if len(keys) > 1}  # MODEL


@dataclass
class Plan:
    """Every node of a config held against its constructor; nothing is built yet."""

    config: Config
    facts: DatasetInfo
    problems: list[str]
    parts: dict[str, Any] = field(default_factory=dict)  # key of a slot -> Part, {entry: Part} or None
    broken: set[str] = field(default_factory=set)  # keys of the slots that have problems

    def sound(self, *keys: str) -> bool:
        """Whether these slots are free of problems."""
        return not self.broken.intersection(keys)

    def part(self, key: str) -> Part | None:
        return self.parts.get(key)

    def entries(self, key: str) -> dict[str, Part]:
        return self.parts.get(key) or {}


def make_plan(config: Config, facts: DatasetInfo | None = None) -> Plan:
    """Check a config; `facts` are those of the data at hand, or the data set's placeholder.

    Imports the modules of IMPORTS first, so that their components are known. Never raises for a fault of the config:
    all of them are in `problems`.
    """
    problems = import_modules(config)
    data = _slot_value(config, BY_PATH[("DATA",)])
    if facts is None:
        facts = _placeholder(config, data)
    planner = Planner(config, facts)
    planner.problems.extend(problems)
    excused = _unknown_keys(planner, config)
    broken = _settings(planner, config)
    plan = Plan(config, facts or UNKNOWN_DATA, planner.problems, broken=broken)
    for slot in SLOTS:
        before = len(planner.problems)
        part = plan.parts[slot.key] = _slot(planner, slot, _slot_value(config, slot), excused)
        if len(planner.problems) > before or (slot.required and not part):
            plan.broken.add(slot.key)
    _views(planner, plan)
    return plan


def _views(planner: Planner, plan: Plan) -> None:
    """Report augmentations of views that no entry of VIEWS makes."""
    modalities = [part.extras.get("MODALITY") for part in plan.entries("VIEWS").values()]
    for part in plan.entries("AUGMENTATION").values():
        view, modality = part.extras.get("VIEW"), part.extras.get("MODALITY")
        if not view:
            continue
        there = f"VIEWS has {len(modalities)} {'entry' if len(modalities) == 1 else 'entries'}"
        if view <= len(modalities) and None not in (modality, made := modalities[view - 1]) and modality != made:
            there = f"entry {view} of VIEWS is of {made} images"
        elif view <= len(modalities):
            continue
        planner.report((*part.keys, "VIEW"), f"= {view}, but {there}")
        plan.broken.add("AUGMENTATION")


def _placeholder(config: Config, node: Any) -> DatasetInfo | None:
    """What the data set says about itself without data; None where its node is at fault."""
    slot = BY_PATH[("DATA",)]
    part = Planner(config).component(slot.path, node, slot.registry, extras=slot.extras) if node is not None else None
    if part is None:
        return None
    try:
        return getattr(construct(part, {}), "placeholder", UNKNOWN_DATA)
    except (ConfigError, DataError):
        return getattr(part.entry.target, "placeholder", UNKNOWN_DATA)


def _slot_value(config: Config, slot: Slot) -> Any:
    """The node of a slot, its default, or None where nothing stands there."""
    value = config.value(slot.path)
    return slot.default if value is None else value


def _slot(planner: Planner, slot: Slot, value: Any, excused: set[Keys]) -> Any:
    if value is None:
        if slot.required and not any(slot.path[: len(keys)] == keys for keys in excused):
            known = ", ".join(slot.registry.names())
            what = "a map of entries, each with" if slot.is_map else "it needs"
            planner.report(slot.path, f"is missing: {what} a NAME (known: {known})")
        return {} if slot.is_map else None
    if slot.is_map:
        parts = planner.entries(slot.path, value, slot.registry, extras=slot.extras, runtime=slot.runtime)
        if slot.required and isinstance(value, dict) and not any(_named(node) for node in value.values()):
            planner.report(slot.path, f"has no entries; at least one {slot.registry.kind} is needed")
        return parts
    part = planner.component(slot.path, value, slot.registry, extras=slot.extras, runtime=slot.runtime)
    if part is None and slot.required and isinstance(value, Mapping) and value.get("NAME") == "none":
        planner.report((*slot.path, "NAME"), f"= 'none', but a {slot.registry.kind} is needed")
    return part


def _named(node: Any) -> bool:
    return not (isinstance(node, dict) and node.get("NAME") == "none")


def _unknown_keys(planner: Planner, config: Config) -> set[Keys]:
    """Report keys that are no setting and no section; return the sections that they probably were meant to be."""
    excused: set[Keys] = set()
    paths = [*BY_PATH, *(setting.path for setting in SETTINGS.values())]
    for group in [(), *sorted(_GROUPS)]:
        node = config.value(group, {}) if group else config
        if not isinstance(node, dict):
            planner.report(group, f"= {shown(node)} is not a map of settings")
            excused.add(group)
            continue
        depth = len(group)
        known = list(dict.fromkeys(keys[depth] for keys in paths if len(keys) > depth and keys[:depth] == group))
        for key in node:
            if key in known:
                continue
            suggestion = nearest(key, known if group else [*known, BASE])
            planner.report((*group, key), f"is not a setting{suggestion or ' (known: ' + ', '.join(known) + ')'}")
            meant = [(*group, name) for name in known if f"{name!r}?" in suggestion]
            excused.update(keys for keys in meant if keys not in config.origins.written)
    return excused


def _settings(planner: Planner, config: Config) -> set[str]:
    """Report values that settings refuse; return the keys of those."""
    broken = set()
    for setting in SETTINGS.values():
        above = config.value(setting.path[:-1]) if len(setting.path) > 1 else config
        if not isinstance(above, dict):
            continue
        value = config.value(setting.path)
        try:
            setting.convert(value)
        except Mismatch as fault:
            planner.report(setting.path, f"= {shown(value)} {fault}")
            broken.add(setting.key)
    if not broken:
        for key, text in disagreements(config):
            planner.report((key,), f"= {shown(config[key])} {text}")
    return broken
