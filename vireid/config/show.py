"""Text forms of a checked configuration: all defaults filled in, its differences to another one, its parts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.config.check import built_once
from vireid.config.checked import CheckedConfig
from vireid.config.coerce import shown
from vireid.config.component import Component, configurable, resolved
from vireid.config.load import Config
from vireid.config.renamed import use_current_names
from vireid.config.schema import SETTINGS, SLOTS
from vireid.config.sources import path_values
from vireid.config.yaml import dump, parse
from vireid.core.binding import bind
from vireid.core.fields import BATCH_FIELDS
from vireid.core.io import write_text
from vireid.core.paths import normalized_path
from vireid.core.text import align_columns


def resolved_tree(checked: CheckedConfig) -> dict[str, Any]:
    """The configuration with all defaults of settings and constructors, as a plain tree that loads to the same run."""
    config, tree = checked.config, {}
    for setting in SETTINGS.values():
        if len(setting.path) == 1:
            tree[setting.key] = _plain(config[setting.key])
    for slot in SLOTS:
        if slot.is_map:
            entries = checked.components.entries(slot.key)
            value: Any = {name.upper(): resolved(component) for name, component in entries.items()}
        else:
            component = checked.components.one(slot.key)
            value = {"NAME": "none"} if component is None else resolved(component)
        _put(tree, slot.path, value)
    for setting in SETTINGS.values():
        if len(setting.path) > 1:
            _put(tree, setting.path, _plain(config.value(setting.path)))
    return tree


def resolved_text(checked: CheckedConfig) -> str:
    """`resolved_tree` as YAML."""
    return dump(resolved_tree(checked))


def write_resolved(checked: CheckedConfig, path: str | Path) -> None:
    """Write `resolved_text` to a file, atomically."""
    write_text(Path(path), resolved_text(checked))


def differences(old: str, checked: CheckedConfig) -> list[str]:
    """Settings because of which a stored configuration describes another training: `KEY was old, is new`.

    Keys that do not change what is trained (OUTPUT_DIR, EVALUATE_EVERY, EVALUATION, ...) and SOLVER.EPOCHS may differ.
    A setting or an argument that the stored configuration does not have, because it is older, counts as its default.
    Former names count as the current ones. Paths are compared by where they lead, however they are written (`~`,
    relative, `..`).

    Args:
        old: Text of a stored `resolved_text`.
        checked: The configuration of this run.
    """
    stored = _stored(old)
    if stored is None:
        return ["the stored config cannot be read"]
    older = {setting.key: _plain(setting.default) for setting in SETTINGS.values() if len(setting.path) == 1}
    older |= {slot.key: dict(slot.default) for slot in SLOTS if slot.default and len(slot.path) == 1}
    paths = {key for key, _, _ in path_values(checked)}
    defaults = {key: value for component in checked.components for key, value in _defaults(component)}
    return list(_differences({**older, **stored}, resolved_tree(checked), "", paths, defaults))


def _defaults(value: Any) -> Iterator[tuple[str, Any]]:
    """Key and default of every argument of a component and of those nested in it."""
    if isinstance(value, Component):
        for name, parameter in configurable(value.entry, value.runtime).items():
            if parameter.default is not parameter.empty:
                yield f"{value.key}.{name.upper()}", _plain(parameter.default)
        value = {**value.arguments, **value.extras}
    if isinstance(value, dict):
        for nested in value.values():
            yield from _defaults(nested)


def _stored(text: str) -> dict[str, Any] | None:
    """The tree of a stored configuration under current names; None if it cannot be read."""
    parsed = parse(text)
    if parsed.problems or not isinstance(parsed.value, dict):
        return None
    use_current_names(parsed.value)
    return parsed.value


def started_from(old: str) -> str | None:
    """WEIGHTS of a stored configuration, from which its training started."""
    weights = (_stored(old) or {}).get("WEIGHTS")
    return weights if isinstance(weights, str) else None


NAMED = ("COMPILE",)  # settings that may differ and change the last digits of a continued run


def named_changes(old: str, config: Config) -> list[str]:
    """Settings that may differ and are worth a line when a run is resumed: `KEY was old, is new`."""
    stored = _stored(old)
    if stored is None:
        return []
    before = {key: stored.get(key, _plain(SETTINGS[key].default)) for key in NAMED}
    return [
        f"{key} was {shown(value)}, is {shown(config[key])}; results may differ in the last digits"
        for key, value in before.items()
        if value != config[key]
    ]


def _differences(
    stored: Any, current: Any, key: str, paths: Collection[str], defaults: Mapping[str, Any]
) -> Iterable[str]:
    if may_change(key) or stored == current:
        return
    if stored is _ABSENT and key in defaults and defaults[key] == current:
        return
    if key in paths and isinstance(stored, str) and normalized_path(stored) == normalized_path(current):
        return
    same_component = _name(stored) == _name(current)
    if isinstance(stored, dict) and isinstance(current, dict) and same_component:
        for inner in dict.fromkeys([*stored, *current]):
            place = f"{key}.{inner}" if key else inner
            each = stored.get(inner, _ABSENT), current.get(inner, _ABSENT)
            yield from _differences(*each, place, paths, defaults)
    else:
        yield f"{key} was {_word(stored)}, is {_word(current)}"


def may_change(key: str) -> bool:
    """Whether a run may be resumed with another value of this key."""
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


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Row:
    """One component of a configuration as a row of the table.

    Args:
        slot: Its key.
        name: Its class, with the weight of a loss term.
        needs: Fields that it reads, with the slot that provides each.
        provides: Fields that it adds.
        source: File that wrote its NAME.
    """

    slot: str
    name: str
    needs: str = ""
    provides: str = ""
    source: str = ""


def rows(checked: CheckedConfig) -> list[Row]:
    """Every component with the fields that it needs and the slots that provide them."""
    built = built_once(checked)
    net, objective = built.net, built.objective
    assert net is not None
    assert objective is not None
    bindings = _Bindings(checked)
    table = []
    for slot in SLOTS:
        entries = checked.components.entries(slot.key) if slot.is_map else {"": checked.components.one(slot.key)}
        for name, component in entries.items():
            if component is None:
                table.append(Row(slot.key, "none"))
                continue
            module = net.heads[name] if slot.path == ("MODEL", "HEADS") else None
            module = getattr(objective, name) if slot.path == ("OBJECTIVE",) else module
            table.append(bindings.row(component, module))
    return table


class _Bindings:
    """The slot that provides each field, as far as the slots have been visited."""

    def __init__(self, checked: CheckedConfig) -> None:
        self._origins = checked.config.origins
        self.by_field = dict.fromkeys(BATCH_FIELDS, "batch")
        adapter = checked.components.one("MODEL.ADAPTER")
        self.by_field["feature_map"] = "MODEL.ADAPTER" if adapter else "MODEL.BACKBONE"
        self.by_field |= {"pooled": "MODEL.POOL", "pooled_image": "MODEL.POOL"}

    def row(self, component: Component, module: Any) -> Row:
        """The row of a component; `module`: its object, if it is a head or a loss."""
        needs, provides = "", ""
        if module is not None:
            binding, _ = bind(module, component.uses, self.by_field)
            needs = ", ".join(f"{_renamed(p, f)} <- {self.by_field[f]}" for p, f in binding.items())
            fields = sorted(getattr(module, "provides", ()))
            self.by_field |= dict.fromkeys(fields, component.key)
            provides = ", ".join(fields)
        keys = (*component.keys, "NAME")
        source = self._origins.place(keys) if keys in self._origins.written else "default"
        return Row(component.key, _shown(component), needs, provides, source)


def _renamed(parameter: str, field: str) -> str:
    return field if parameter == field else f"{parameter} = {field}"


def _shown(component: Component) -> str:
    name, weight = component.entry.name, component.extras.get("WEIGHT")
    return name if weight is None else f"{name} x {weight:g}"


def table(rows: Sequence[Row]) -> str:
    """Format rows as text: one line for each component, followed by the sources of the fields that it needs."""
    lines = []
    for row, head in zip(rows, align_columns([(row.slot, row.name, row.source) for row in rows])):
        lines.append(head)
        lines += [f"    needs     {need}" for need in row.needs.split(", ") if need]
        lines += [f"    provides  {row.provides}"] if row.provides else []
    return "\n".join(lines)
