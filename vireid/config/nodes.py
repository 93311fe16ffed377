"""Check of one node of a configuration against the constructor that it names."""

from __future__ import annotations

import collections.abc as abc
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from vireid.config.coerce import Mismatch, convert, hints_of, shown
from vireid.config.component import DATA_NUMBERS, INFO_FIELDS, Component, configurable, parameters
from vireid.config.load import Config
from vireid.config.schema import Extra
from vireid.config.yaml import Keys
from vireid.core.errors import Problem, closest
from vireid.core.registry import Entry, Registry
from vireid.core.types import DatasetInfo

NONE = "none"


class NodeChecker:
    """Turns nodes into components and collects what is wrong with them; the first problem does not hide the next.

    Args:
        config: The configuration that the nodes are from, with the file that wrote each key.
        info: Numbers of the dataset, named in messages; None: unknown.
    """

    def __init__(self, config: Config, info: DatasetInfo | None = None) -> None:
        self.config, self.info = config, info
        self.problems: list[Problem] = []

    def report(self, keys: Keys, text: str, *, suggestion: str | None = None, note: str = "") -> None:
        """Add a problem of a key, at the file that wrote it."""
        self.problems.append(Problem(text, self.config.origins.place(keys), ".".join(keys), suggestion, note))

    def component(
        self,
        keys: Keys,
        node: Any,
        registry: Registry,
        *,
        extras: Mapping[str, Extra] | None = None,
        runtime: frozenset[str] = frozenset(),
        siblings: Mapping[str, Any] | None = None,
    ) -> Component | None:
        """The component of a node; None for `NAME: none` and for a node with problems.

        Args:
            keys: Path of the node.
            node: What is written there.
            registry: Components of the slot.
            extras: Keys of the slot in addition to the constructor's parameters.
            runtime: Parameters that are filled in at run time.
            siblings: The other entries of the same map, for suggestions.
        """
        extras = extras or {}
        if not isinstance(node, dict):
            self.report(keys, f"= {shown(node)} is not a component; its class goes into {'.'.join(keys)}.NAME")
            return None
        if "NAME" not in node:
            self._without_name(keys, node, siblings or {})
            return None
        name, before = node["NAME"], len(self.problems)
        if name == NONE:
            for key in node:
                if key != "NAME" and key not in extras:
                    self.report((*keys, key), f"is an argument of nothing: {'.'.join(keys)}.NAME is none")
            return None
        if not isinstance(name, str) or name not in registry:
            self._unknown_name((*keys, "NAME"), name, registry)
            return None
        entry = registry.get(name)
        arguments, extra_values, hints = {}, {}, hints_of(entry.target)
        for key, value in node.items():
            place = (*keys, key)
            if key == "NAME":
                continue
            if key in extras:
                extra_values[key] = self.extra(place, value, extras[key])
            elif self._is_argument(place, entry, extras, runtime):
                parameter = key.lower()
                annotation = hints.get(parameter, Any)
                if parameter in entry.slots:
                    arguments[parameter] = self._nested(place, value, entry.slots[parameter], annotation)
                else:
                    arguments[parameter] = self.value(place, value, annotation)
        self._missing(keys, entry, node, extras, runtime)
        if len(self.problems) > before:
            return None
        files = {key.lower(): self.config.origins.place((*keys, key)) for key in node if key not in extras}
        files[""] = files.pop("name")
        return Component(keys, entry, arguments, extra_values, runtime, files)

    def value(self, keys: Keys, value: Any, annotation: Any) -> Any:
        """A plain value in the type of its annotation; None after a problem."""
        try:
            return convert(value, annotation)
        except Mismatch as mismatch:
            self.report(keys, f"= {shown(value)} {mismatch.text}", suggestion=mismatch.suggestion)
            return None

    def extra(self, keys: Keys, value: Any, extra: Extra) -> Any:
        """The value of a key that belongs to the slot."""
        if extra.registry is not None:
            if extra.default and isinstance(value, dict):
                value = {"NAME": extra.default, **value}
            return None if value is None else self.component(keys, value, extra.registry)
        result = self.value(keys, value, extra.kind)
        if extra.least is not None and isinstance(result, (int, float)) and result < extra.least:
            self.report(keys, f"= {result!r} is below {extra.least:g}")
        if refusal := extra.check(result):
            self.report(keys, f"= {shown(value)} {refusal}")
        return result

    def entries(
        self,
        keys: Keys,
        value: Any,
        registry: Registry,
        *,
        extras: Mapping[str, Extra] | None = None,
        runtime: frozenset[str] = frozenset(),
    ) -> dict[str, Component]:
        """The components of a map of nodes by lower-cased entry name, without those that are none."""
        components = {}
        if not isinstance(value, dict):
            self.report(keys, f"= {shown(value)} is not a map of {registry.kind} entries")
            return components
        for name, node in value.items():
            place = (*keys, name)
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                upper = re.sub(r"[^A-Z0-9_]", "_", name.upper())
                self.report(place, f"is not a name of an entry (capital letters, digits, _); write {upper}")
                continue
            component = self.component(place, node, registry, extras=extras, runtime=runtime, siblings=value)
            if component is not None:
                components[name.lower()] = component
        return components

    def _nested(self, keys: Keys, value: Any, registry: Registry, annotation: Any) -> Any:
        """The value of a parameter that is a component or a map of components."""
        is_map = _is_map(annotation)
        empty = value is None or value == {} or value == NONE
        if not is_map and (empty or (isinstance(value, dict) and value.get("NAME") == NONE)):
            if type(None) not in get_args(annotation):
                known = ", ".join(registry.names())
                self.report(keys, f"is none, and a {registry.kind} is needed here; name one of: {known}")
            return None
        if empty:
            return {} if value is not None else None
        if is_map or (isinstance(value, dict) and "NAME" not in value and _all_nodes(value)):
            return self.entries(keys, value, registry)
        return self.component(keys, value, registry)

    def _without_name(self, keys: Keys, node: Mapping[str, Any], siblings: Mapping[str, Any]) -> None:
        misspelled = next((key for key in node if closest(key, ["NAME"])), None)
        if misspelled is not None:
            self.report((*keys, misspelled), "stands where NAME is missing", suggestion="NAME")
            return
        named = [key for key, other in siblings.items() if isinstance(other, dict) and "NAME" in other]
        files = {key: self.config.origins.place((*keys, key)) for key in node}
        main = self.config.origins.place(keys)
        known = ", ".join(key if file == main else f"{key} of {file}" for key, file in files.items())
        self.report(keys, "has no NAME", suggestion=closest(keys[-1], named), note=f"(keys: {known or 'none'})")

    def _unknown_name(self, keys: Keys, name: Any, registry: Registry) -> None:
        known = ", ".join(registry.names())
        if not isinstance(name, str):
            self.report(keys, f"= {shown(name)} is not a class name (known: {known})")
            return
        suggestion = NONE if name.lower() == NONE else closest(name, registry.names())
        text = f": no {registry.kind} is named {name!r}"
        if suggestion is None:
            self.report(keys, f"{text}; known: {known or 'none'}")
        else:
            self.report(keys, text, suggestion=suggestion, note=f"Known: {known or 'none'}")

    def _is_argument(self, keys: Keys, entry: Entry, extras: Mapping[str, Extra], runtime: frozenset[str]) -> bool:
        """Whether a key is a parameter that may be set; reports one that is not."""
        key = keys[-1]
        parameter, known = key.lower(), parameters(entry)
        if key != key.upper():
            accepted = [name.upper() for name in known] + list(extras)
        elif parameter in DATA_NUMBERS:
            number = f" ({getattr(self.info, parameter)} here)" if self.info else ""
            self.report(keys, f"is a fact of the data{number}; remove it")
            return False
        elif parameter in INFO_FIELDS:
            self.report(keys, "is a fact of the model, known when it is built; remove it")
            return False
        elif parameter in runtime:
            self.report(keys, "is filled in at run time; remove it")
            return False
        elif parameter in known:
            return True
        else:
            accepted = _accepted(entry, extras, runtime)
        note = _takes(entry, runtime)
        self.report(keys, f"is not an argument of {entry.name}", suggestion=closest(key, accepted), note=note)
        return False

    def _missing(
        self,
        keys: Keys,
        entry: Entry,
        node: Mapping[str, Any],
        extras: Mapping[str, Extra],
        runtime: frozenset[str],
    ) -> None:
        """Report required parameters that are absent, except those that are there in another spelling."""
        accepted = _accepted(entry, extras, runtime)
        misspelled = {closest(key, accepted) for key in node if key not in accepted}
        for name, parameter in configurable(entry, runtime).items():
            key = name.upper()
            if parameter.default is parameter.empty and key not in node and key not in misspelled:
                place = self.config.origins.place((*keys, "NAME"))
                text = f"({entry.name}) needs {key}"
                self.problems.append(Problem(text, place, ".".join(keys), note=_takes(entry, runtime)))
        for key, extra in extras.items():
            if extra.required and key not in node and key not in misspelled:
                self.report(keys, f"needs {key}")


def _accepted(entry: Entry, extras: Mapping[str, Extra], runtime: frozenset[str]) -> list[str]:
    """Keys that a node may have."""
    return ["NAME", *(name.upper() for name in configurable(entry, runtime)), *extras]


def _takes(entry: Entry, runtime: frozenset[str]) -> str:
    names = [name.upper() for name in configurable(entry, runtime)]
    return f"(takes: {', '.join(names)})" if names else "(takes no arguments)"


def _is_map(annotation: Any) -> bool:
    if get_origin(annotation) in (dict, abc.Mapping, abc.MutableMapping) or annotation in (dict, abc.Mapping):
        return True
    return any(_is_map(argument) for argument in get_args(annotation))


def _all_nodes(value: Mapping[str, Any]) -> bool:
    return all(isinstance(item, dict) for item in value.values())
