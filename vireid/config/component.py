"""A checked node of a configuration and the construction of its object."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.config.coerce import hints_of
from vireid.config.yaml import Keys
from vireid.core.errors import ArgumentError, CheckpointError, ConfigError, DataError, Problem
from vireid.core.paths import PathMark, normalized_path, path_mark
from vireid.core.registry import Entry
from vireid.core.types import DatasetInfo

INFO_FIELDS = frozenset(f.name for f in dataclasses.fields(DatasetInfo))
DATA_NUMBERS = frozenset(name for name in INFO_FIELDS if name.startswith("num_"))
_MISSING_NUMBERS = {"num_attributes": "; name a table of them with DATA.ATTRIBUTES"}


@dataclass(frozen=True)
class Component:
    """A node that agrees with the constructor it names; only the constructor itself can still refuse a value.

    Args:
        keys: Path of the node in the configuration.
        entry: Registry entry of its NAME.
        arguments: Parameter -> value. A nested component is a Component, a map of them a dictionary, none is None.
        extras: Keys that belong to the slot (WEIGHT, USES, ...) -> value or Component.
        runtime: Parameters that are filled in when the object is built, such as the samples of a sampler.
        files: Parameter -> file that wrote it; "" -> file of NAME.
    """

    keys: Keys
    entry: Entry
    arguments: dict[str, Any]
    extras: dict[str, Any]
    runtime: frozenset[str] = frozenset()
    files: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return ".".join(self.keys)

    @property
    def uses(self) -> dict[str, str]:
        return self.extras.get("USES") or {}

    def problem(self, text: str, parameter: str = "") -> Problem:
        """A problem of this component, at the file that wrote the parameter or else its NAME."""
        file = self.files.get(parameter) or self.files.get("", "")
        return Problem(f"({self.entry.name}){text}", place=file, key=self.key)


def parameters(entry: Entry) -> dict[str, inspect.Parameter]:
    """Constructor parameters that have names, without `*args` and `**kwargs`."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in entry.parameters().items() if p.kind not in variable}


def configurable(entry: Entry, runtime: frozenset[str]) -> dict[str, inspect.Parameter]:
    """Parameters that a configuration may set."""
    return {name: p for name, p in parameters(entry).items() if name not in INFO_FIELDS and name not in runtime}


def construct(component: Component, values: Mapping[str, Any]) -> Any:
    """Build the object of a component.

    Args:
        component: The component.
        values: Numbers of the dataset and run-time values, by parameter name; 0 or absent means unknown.

    Raises:
        ConfigError: If the constructor refuses its arguments, with the file that wrote the refused parameter.
        DataError, CheckpointError: If the constructor raises one, with the place of the component.
    """
    arguments = {name: _construct_nested(value, values) for name, value in with_paths(component).items()}
    for name, parameter in parameters(component.entry).items():
        if name not in INFO_FIELDS | component.runtime:
            continue
        if values.get(name) or name in component.runtime:
            arguments[name] = values[name]
        elif parameter.default is parameter.empty:
            raise ConfigError([component.problem(f" {_unknown_number(name)}")])
    try:
        return component.entry.target(**arguments)
    except (DataError, CheckpointError) as error:  # about files, and therefore not a ConfigError
        raise type(error)(str(component.problem(f": {error}"))) from error
    except ConfigError as error:
        raise ConfigError(component.problem(f": {problem}") for problem in error.problems) from error
    except ArgumentError as error:
        raise ConfigError([component.problem(f": {error}", error.parameter)]) from error
    except (ValueError, ImportError, OSError) as error:
        raise ConfigError([component.problem(f": {error}")]) from error


def _construct_nested(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Component):
        return construct(value, values)
    if isinstance(value, dict) and value and all(isinstance(item, Component) for item in value.values()):
        return {name: construct(item, values) for name, item in value.items()}
    return value


def _unknown_number(name: str) -> str:
    if name in DATA_NUMBERS:
        return f"needs {name}, and this dataset has none{_MISSING_NUMBERS.get(name, '')}"
    return f"needs {name}, which is unknown: none of the fields that it reads has a declared width"


def path_arguments(component: Component) -> dict[str, PathMark]:
    """Arguments of a component that are paths, with their marks."""
    hints = hints_of(component.entry.target)
    marks = {
        name: path_mark(hints.get(name))
        for name, value in component.arguments.items()
        if isinstance(value, (str, Path))
    }
    return {name: mark for name, mark in marks.items() if mark is not None}


def with_paths(component: Component) -> dict[str, Any]:
    """The arguments of a component with absolute paths. Configurations keep paths as the user wrote them."""
    written = component.arguments
    paths = {name: type(written[name])(normalized_path(written[name])) for name in path_arguments(component)}
    return {**written, **paths}


def resolved(component: Component) -> dict[str, Any]:
    """The node of a component with the constructor's defaults filled in."""
    node: dict[str, Any] = {"NAME": component.entry.name}
    for name, parameter in configurable(component.entry, component.runtime).items():
        value = component.arguments.get(name, parameter.default)
        if isinstance(value, Component):
            node[name.upper()] = resolved(value)
        elif name in component.entry.slots and isinstance(value, Mapping):
            node[name.upper()] = {entry.upper(): resolved(item) for entry, item in value.items()}
        elif _is_plain(value):
            node[name.upper()] = _as_yaml(value)
    for key, value in component.extras.items():
        if value is not None:
            node[key] = resolved(value) if isinstance(value, Component) else _as_yaml(value)
    return node


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
