"""One component node of a config against the constructor that it names: check everything first, construct after.

`Planner.component` compares a node with its registry entry and returns a `Part`, or reports what is wrong; it does not
stop at the first fault. `construct` turns a Part into the object.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import difflib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from vireid.config.coerce import Mismatch, convert, hints_of, shown
from vireid.config.load import Config
from vireid.config.slots import Extra
from vireid.config.yaml import Keys
from vireid.core.errors import CheckpointError, ConfigError, DataError, nearest
from vireid.core.paths import PathMark, normalized_path, path_mark
from vireid.core.registry import Entry, Registry
from vireid.core.types import DatasetInfo

NONE = "none"
FACTS = frozenset(f.name for f in dataclasses.fields(DatasetInfo))
_WAYS_OUT = {"num_attributes": "; name a table of them with DATA.ATTRIBUTES"}
_DATA_FACTS = frozenset(name for name in FACTS if name.startswith("num_"))


@dataclass(frozen=True)
class Part:
    """A node that was checked: constructing it can fail only where the constructor itself refuses a value."""

    keys: Keys
    entry: Entry
    arguments: dict[str, Any]  # parameter -> value; a slot holds a Part, None or {entry: Part}
    extras: dict[str, Any]  # WEIGHT, USES, ... -> value or Part
    runtime: frozenset[str] = frozenset()
    place: dict[str, str] = field(default_factory=dict)  # parameter -> file; "" -> file of NAME

    @property
    def key(self) -> str:
        return ".".join(self.keys)

    @property
    def uses(self) -> dict[str, str]:
        return self.extras.get("USES") or {}


def parameters(entry: Entry) -> dict[str, inspect.Parameter]:
    """Constructor parameters that have names; `*args` of a class without a constructor of its own are none."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in entry.parameters().items() if p.kind not in variable}


class Planner:
    """Checks nodes and collects problems."""

    def __init__(self, config: Config, facts: DatasetInfo | None = None) -> None:
        self.config, self.facts, self.problems = config, facts, []

    def report(self, keys: Keys, text: str) -> None:
        """`file: KEY text`; the file is the one that wrote the key."""
        join = "" if text.startswith((":", ".")) else " "
        self.problems.append(f"{self.config.origins.place(keys)}: {'.'.join(keys)}{join}{text}")

    def component(
        self,
        keys: Keys,
        node: Any,
        registry: Registry,
        *,
        extras: Mapping[str, Extra] | None = None,
        runtime: frozenset[str] = frozenset(),
        siblings: Mapping[str, Any] | None = None,
    ) -> Part | None:
        """The Part of a node; None where it is `NAME: none` or wrong (then a problem was reported)."""
        extras = extras or {}
        if not isinstance(node, dict):
            self.report(keys, f"= {shown(node)} is not a component; its class goes into {'.'.join(keys)}.NAME")
            return None
        if "NAME" not in node:
            self._nameless(keys, node, siblings or {})
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
        arguments, given_extras, hints = {}, {}, hints_of(entry.target)
        for key, value in node.items():
            place = (*keys, key)
            if key == "NAME":
                continue
            if key in extras:
                given_extras[key] = self.extra(place, value, extras[key])
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
        return Part(keys, entry, arguments, given_extras, runtime, files)

    def value(self, keys: Keys, value: Any, annotation: Any) -> Any:
        """A plain value in the type of its annotation."""
        try:
            return convert(value, annotation)
        except Mismatch as fault:
            self.report(keys, f"= {shown(value)} {fault}")
            return None

    def extra(self, keys: Keys, value: Any, extra: Extra) -> Any:
        if extra.registry is not None:
            return None if value is None else self.component(keys, value, extra.registry)
        result = self.value(keys, value, extra.kind)
        if extra.least is not None and isinstance(result, (int, float)) and result < extra.least:
            self.report(keys, f"= {result!r} is below {extra.least:g}")
        if problem := extra.check(result):
            self.report(keys, f"= {shown(value)} {problem}")
        return result

    def entries(
        self,
        keys: Keys,
        value: Any,
        registry: Registry,
        *,
        extras: Mapping[str, Extra] | None = None,
        runtime: frozenset[str] = frozenset(),
    ) -> dict[str, Part]:
        """The Parts of a map of nodes by lower-cased entry name; empty entries are left out."""
        parts = {}
        if not isinstance(value, dict):
            self.report(keys, f"= {shown(value)} is not a map of {registry.kind} entries")
            return parts
        for name, node in value.items():
            place = (*keys, name)
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                upper = re.sub(r"[^A-Z0-9_]", "_", name.upper())
                self.report(place, f"is not written as an entry's name is: {upper}")
                continue
            part = self.component(place, node, registry, extras=extras, runtime=runtime, siblings=value)
            if part is not None:
                parts[name.lower()] = part
        return parts

    def _nested(self, keys: Keys, value: Any, registry: Registry, annotation: Any) -> Any:
        """The value of a parameter that is a component, or a map of components."""
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

    def _nameless(self, keys: Keys, node: Mapping[str, Any], siblings: Mapping[str, Any]) -> None:
        close = difflib.get_close_matches("NAME", [key.upper() for key in node], n=1)
        if close:
            wrong = next(key for key in node if key.upper() == close[0])
            self.report((*keys, wrong), "stands where NAME is missing; did you mean 'NAME'?")
            return
        named = [key for key, other in siblings.items() if isinstance(other, dict) and "NAME" in other]
        files = {key: self.config.origins.place((*keys, key)) for key in node}
        here = self.config.origins.place(keys)
        known = [key if file == here else f"{key} of {file}" for key, file in files.items()]
        self.report(keys, f"has no NAME{nearest(keys[-1], named)} (keys: {', '.join(known) or 'none'})")

    def _unknown_name(self, keys: Keys, name: Any, registry: Registry) -> None:
        if not isinstance(name, str):
            self.report(keys, f"= {shown(name)} is not a class name (known: {', '.join(registry.names())})")
            return
        text = registry.unknown(name)
        if name.lower() == NONE:
            text = f"no {registry.kind} is named {name!r}; did you mean {NONE!r}? Known: {', '.join(registry.names())}"
        self.report(keys, f": {text}")

    def _is_argument(self, keys: Keys, entry: Entry, extras: Mapping[str, Extra], runtime: frozenset[str]) -> bool:
        key = keys[-1]
        parameter, known = key.lower(), parameters(entry)
        if key != key.upper():
            accepted = [name.upper() for name in known] + list(extras)
            self.report(keys, f"is not an argument of {entry.name}{nearest(key, accepted)} {_takes(entry, runtime)}")
        elif parameter in _DATA_FACTS:
            here = f" ({getattr(self.facts, parameter)} here)" if self.facts else ""
            self.report(keys, f"is a fact of the data{here}; remove it")
        elif parameter in FACTS:
            self.report(keys, "is a fact of the model, known when it is built; remove it")
        elif parameter in runtime:
            self.report(keys, "is filled in at run time; remove it")
        elif parameter in known:
            return True
        else:
            suggestion = nearest(key, _accepted(entry, extras, runtime))
            self.report(keys, f"is not an argument of {entry.name}{suggestion} {_takes(entry, runtime)}")
        return False

    def _missing(
        self,
        keys: Keys,
        entry: Entry,
        node: Mapping[str, Any],
        extras: Mapping[str, Extra],
        runtime: frozenset[str],
    ) -> None:
        accepted = _accepted(entry, extras, runtime)
        misspelt = "".join(nearest(key, accepted) for key in node if key not in accepted)
        for name, parameter in _free(entry, runtime).items():
            if f"{name.upper()!r}?" in misspelt:
                continue  # it is there under another spelling, which was reported
            if parameter.default is parameter.empty and name.upper() not in node:
                place = f"{self.config.origins.place((*keys, 'NAME'))}: {'.'.join(keys)} ({entry.name})"
                self.problems.append(f"{place} needs {name.upper()} {_takes(entry, runtime)}")
        for key, extra in extras.items():
            if extra.required and key not in node and f"{key!r}?" not in misspelt:
                self.report(keys, f"needs {key}")


def construct(part: Part, given: Mapping[str, Any]) -> Any:
    """The object of a Part. `given` holds facts and run-time values by parameter name; 0 or absent means unknown.

    Raises ConfigError with the place where the constructor refuses its arguments.
    """
    place = f"{part.place.get('', part.key)}: {part.key} ({part.entry.name})"
    arguments = {name: _construct_nested(value, given) for name, value in with_paths(part).items()}
    for name, parameter in parameters(part.entry).items():
        if name not in FACTS | part.runtime:
            continue
        if given.get(name) or name in part.runtime:
            arguments[name] = given[name]
        elif parameter.default is parameter.empty:
            raise ConfigError([f"{place} {_unknown_fact(name)}"])
    try:
        return part.entry.target(**arguments)
    except (DataError, CheckpointError) as error:  # about files: another kind of error, the same place
        raise type(error)(f"{_file_of(part, str(error))}: {part.key} ({part.entry.name}): {error}") from error
    except (ValueError, ImportError, OSError) as error:
        faults = error.problems if isinstance(error, ConfigError) else [str(error)]
        raise ConfigError(
            f"{_file_of(part, fault)}: {part.key} ({part.entry.name}): {fault}" for fault in faults
        ) from error


def path_arguments(part: Part) -> dict[str, PathMark]:
    """Arguments of a Part that are paths, and how they are marked."""
    hints = hints_of(part.entry.target)
    marks = {
        name: path_mark(hints.get(name)) for name, value in part.arguments.items() if isinstance(value, (str, Path))
    }
    return {name: mark for name, mark in marks.items() if mark is not None}


def with_paths(part: Part) -> dict[str, Any]:
    """The arguments of a Part, paths expanded and absolute. Configs and their addresses keep what the user wrote."""
    paths = {name: type(part.arguments[name])(normalized_path(part.arguments[name])) for name in path_arguments(part)}
    return {**part.arguments, **paths}


def _file_of(part: Part, fault: str) -> str:
    """The file that wrote the argument of which a constructor speaks, by name or by value; else the one of NAME."""
    for parameter, file in part.place.items():
        if parameter and re.search(rf"\b{re.escape(parameter)}\b", fault):
            return file
    for parameter, value in part.arguments.items():
        if isinstance(value, str) and repr(value) in fault and parameter in part.place:
            return part.place[parameter]
    return part.place.get("", part.key)


def _construct_nested(value: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(value, Part):
        return construct(value, given)
    if isinstance(value, dict) and value and all(isinstance(item, Part) for item in value.values()):
        return {name: construct(item, given) for name, item in value.items()}
    return value


def resolved(part: Part) -> dict[str, Any]:
    """The node of a Part with the constructor's defaults filled in."""
    node: dict[str, Any] = {"NAME": part.entry.name}
    for name, parameter in _free(part.entry, part.runtime).items():
        value = part.arguments.get(name, parameter.default)
        if isinstance(value, Part):
            node[name.upper()] = resolved(value)
        elif name in part.entry.slots and isinstance(value, Mapping):
            node[name.upper()] = {entry.upper(): resolved(item) for entry, item in value.items()}
        elif _is_plain(value):
            node[name.upper()] = _as_yaml(value)
    for key, value in part.extras.items():
        if value is not None:
            node[key] = resolved(value) if isinstance(value, Part) else _as_yaml(value)
    return node


def _free(entry: Entry, runtime: frozenset[str]) -> dict[str, inspect.Parameter]:
    """Parameters that a config may give."""
    return {name: p for name, p in parameters(entry).items() if name not in FACTS and name not in runtime}


def _accepted(entry: Entry, extras: Mapping[str, Extra], runtime: frozenset[str]) -> list[str]:
    """Keys that a node may have."""
    return ["NAME", *(name.upper() for name in _free(entry, runtime)), *extras]


def _takes(entry: Entry, runtime: frozenset[str]) -> str:
    names = [name.upper() for name in _free(entry, runtime)]
    return f"(takes: {', '.join(names)})" if names else "(takes no arguments)"


def _unknown_fact(name: str) -> str:
    if name in _DATA_FACTS:
        return f"needs {name}, and this data set has none{_WAYS_OUT.get(name, '')}"
    return f"needs {name}, which is not known here: none of the fields that it reads has a declared width"


def _is_map(annotation: Any) -> bool:
    if get_origin(annotation) in (dict, abc.Mapping, abc.MutableMapping) or annotation in (dict, abc.Mapping):
        return True
    return any(_is_map(argument) for argument in get_args(annotation))


def _all_nodes(value: Mapping[str, Any]) -> bool:
    return all(isinstance(item, dict) for item in value.values())


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str)) or hasattr(value, "__fspath__")


def _as_yaml(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_as_yaml(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _as_yaml(item) for key, item in value.items()}
    return str(value) if hasattr(value, "__fspath__") else value
