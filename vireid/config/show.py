"""A config laid open: every default filled in, which part sits in which slot, who needs what of whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.config.builder import Part, resolved
from vireid.config.coerce import shown
from vireid.config.defaults import SETTINGS
from vireid.config.load import Config
from vireid.config.plan import Plan, make_plan
from vireid.config.slots import SLOTS
from vireid.config.sources import path_values
from vireid.config.trial import try_out
from vireid.config.yaml import dump, parse
from vireid.core.binding import bind
from vireid.core.errors import ConfigError
from vireid.core.fields import BATCH_FIELDS
from vireid.core.io import write_text
from vireid.core.paths import normalized_path
from vireid.core.types import DatasetInfo


def resolved_tree(config: Config, facts: DatasetInfo | None = None) -> dict[str, Any]:
    """The config with all defaults of settings and constructors, as a plain tree that loads to the same experiment.

    Raises ConfigError where the config has static problems.
    """
    plan = make_plan(config, facts)
    if plan.problems:
        raise ConfigError(plan.problems)
    return _tree(plan)


def resolved_text(config: Config, facts: DatasetInfo | None = None) -> str:
    """`resolved_tree` as YAML."""
    return dump(resolved_tree(config, facts))


def write_resolved(config: Config, path: str | Path, facts: DatasetInfo | None = None) -> None:
    """Write the resolved config to a file, in one step: a reader never sees half of it."""
    write_text(Path(path), resolved_text(config, facts))


def differences(old: str, config: Config, facts: DatasetInfo | None = None) -> list[str]:
    """Where a stored resolved config and this one mean another training: `KEY was old, is new`, one line each.

    Keys that do not change what is trained (OUTPUT_DIR, EVALUATE_EVERY, EVALUATION, ...) and SOLVER.EPOCHS may differ.
    A setting that the stored config does not have, because it is of an older version, counts as its default. Paths are
    compared where they lead, however they are written (`~`, relative, `..`).
    """
    stored = parse(old)
    if stored.problems or not isinstance(stored.value, dict):
        return ["the stored config cannot be read"]
    older = {setting.key: _plain(setting.default) for setting in SETTINGS.values() if len(setting.path) == 1}
    paths = {key for key, _, _ in path_values(config)}
    return list(_differences({**older, **stored.value}, resolved_tree(config, facts), "", paths))


NAMED = ("COMPILE",)  # settings that may differ and change the last digits of a continued run


def named_changes(old: str, config: Config) -> list[str]:
    """Which of the settings that may differ are worth a line when a run continues: `KEY was old, is new`."""
    stored = parse(old)
    if stored.problems or not isinstance(stored.value, dict):
        return []
    before = {key: stored.value.get(key, _plain(SETTINGS[key].default)) for key in NAMED}
    return [
        f"{key} was {shown(value)}, is {shown(config[key])}; results may differ in the last digits"
        for key, value in before.items()
        if value != config[key]
    ]


def _differences(there: Any, here: Any, key: str, paths: Collection[str]) -> Iterable[str]:
    if _is_free(key) or there == here:
        return
    if key in paths and isinstance(there, str) and normalized_path(there) == normalized_path(here):
        return
    same_component = _name(there) == _name(here)
    if isinstance(there, dict) and isinstance(here, dict) and same_component:
        for inner in dict.fromkeys([*there, *here]):
            place = f"{key}.{inner}" if key else inner
            yield from _differences(there.get(inner, _ABSENT), here.get(inner, _ABSENT), place, paths)
    else:
        yield f"{key} was {_word(there)}, is {_word(here)}"


def may_change(key: str) -> bool:
    """Whether a run may be continued with another value of this key."""
    return _is_free(key)


def _is_free(key: str) -> bool:
    """Whether a run may be continued with another value of this key."""
    for slot in SLOTS:
        inside = key == slot.key or key.startswith(f"{slot.key}.")
        extra = slot.extras.get(key[len(slot.key) + 1 :]) if inside else None
        if inside and (slot.free or (extra is not None and extra.free)):
            return True
    return key in SETTINGS and SETTINGS[key].free


_ABSENT = object()


def _name(value: Any) -> Any:
    return value.get("NAME") if isinstance(value, dict) else None


def _word(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    return _name(value) or shown(value)


def _tree(plan: Plan) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for setting in SETTINGS.values():
        if len(setting.path) == 1:
            tree[setting.key] = _plain(plan.config[setting.key])
    for slot in SLOTS:
        part = plan.parts[slot.key]
        if slot.is_map:
            value: Any = {name.upper(): resolved(entry) for name, entry in part.items()}
        else:
            value = resolved(part) if part is not None else {"NAME": "none"}
        _put(tree, slot.path, value)
    for setting in SETTINGS.values():
        if len(setting.path) > 1:
            _put(tree, setting.path, _plain(plan.config.value(setting.path)))
    return tree


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Row:
    """One part of an experiment, as the table shows it."""

    slot: str
    name: str
    needs: str
    provides: str
    source: str


def rows(config: Config, facts: DatasetInfo | None = None) -> list[Row]:
    """Every part with what it needs and who provides that. Raises ConfigError where the config has problems."""
    plan = make_plan(config, facts)
    trial = try_out(plan)
    if trial.found:
        raise ConfigError(trial.found)
    net, objective = trial.net, trial.objective
    assert net is not None
    assert objective is not None
    providers = _Providers(plan)
    table = []
    for slot in SLOTS:
        part = plan.parts[slot.key]
        for name, each in (part or {"": None}).items() if slot.is_map else [("", part)]:
            if each is None:
                table.append(Row(slot.key, "none", "", "", ""))
                continue
            module = net.heads[name] if slot.path == ("MODEL", "HEADS") else None
            module = getattr(objective, name) if slot.path == ("OBJECTIVE",) else module
            table.append(providers.row(plan, each, module))
    return table


class _Providers:
    """Who has put which field on the table so far."""

    def __init__(self, plan: Plan) -> None:
        self.by_field = dict.fromkeys(BATCH_FIELDS, "batch")
        adapter = plan.part("MODEL.ADAPTER")
        self.by_field["feature_map"] = "MODEL.ADAPTER" if adapter else "MODEL.BACKBONE"
        self.by_field |= {"pooled": "MODEL.POOL", "pooled_image": "MODEL.POOL"}

    def row(self, plan: Plan, part: Part, module: Any) -> Row:
        needs, provides = "", ""
        if module is not None:
            binding, _ = bind(module, part.uses, self.by_field)
            needs = ", ".join(f"{_renamed(p, f)} <- {self.by_field[f]}" for p, f in binding.items())
            given = sorted(getattr(module, "provides", ()))
            self.by_field |= dict.fromkeys(given, part.key)
            provides = ", ".join(given)
        keys, origins = (*part.keys, "NAME"), plan.config.origins
        return Row(
            part.key, _shown(part), needs, provides, origins.place(keys) if keys in origins.written else "default"
        )


def _renamed(parameter: str, field: str) -> str:
    return field if parameter == field else f"{parameter} = {field}"


def _shown(part: Part) -> str:
    weight = part.extras.get("WEIGHT")
    return part.entry.name if weight is None else f"{part.entry.name} x {weight:g}"


def table(rows: Sequence[Row]) -> str:
    """The rows as text: one line a part, and under it where each field it needs comes from."""
    width = [max(len(getattr(row, column)) for row in rows) for column in ("slot", "name", "source")]
    lines = []
    for row in rows:
        head = f"{row.slot:<{width[0]}}  {row.name:<{width[1]}}  {row.source:<{width[2]}}"
        lines.append(head.rstrip())
        lines += [f"    needs     {need}" for need in row.needs.split(", ") if need]
        lines += [f"    provides  {row.provides}"] if row.provides else []
    return "\n".join(lines)
