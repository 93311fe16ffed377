"""Registries: components by class name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vireid.core.errors import nearest


@dataclass(frozen=True)
class Entry:
    """A registered class or function.

    Args:
        name: Its name.
        target: The class or function.
        slots: Constructor parameter -> registry, for parameters that take components.
    """

    name: str
    target: Callable[..., Any]
    slots: Mapping[str, Registry] = field(default_factory=dict)

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Constructor parameters by name, without `self`."""
        return dict(inspect.signature(self.target).parameters)


class Registry:
    """Components of one kind, by class name. It has no relation to YAML: `vireid.config` builds components from files.

    Args:
        kind: What the components are called in messages, such as "loss".

    Example:
        >>> POOLS = Registry("pool")
        >>> @POOLS.register
        ... class Largest: ...
        >>> POOLS.get("Largest").target is Largest
        True
        >>> POOLS.get("Largst")
        Traceback (most recent call last):
        ...
        KeyError: "no pool is named 'Largst'; did you mean 'Largest'? Known: Largest"
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, target: Callable[..., Any] | None = None, /, **slots: Registry) -> Any:
        """Register a class: `@LOSSES.register`, or `@ADAPTERS.register(stages=STAGES)` if a parameter takes components.

        Returns:
            The class, unchanged.

        Raises:
            ValueError: If the name is taken, or the class has no parameter of a slot.
        """
        if target is None:
            return lambda decorated: self._add(decorated, slots)
        return self._add(target, slots)

    def _add(self, target: Callable[..., Any], slots: Mapping[str, Registry]) -> Callable[..., Any]:
        name = target.__name__
        if name in self._entries:
            other = self._entries[name].target.__module__
            raise ValueError(f"the {self.kind} name {name!r} of {target.__module__} is taken by {other}")
        entry = Entry(name, target, dict(slots))
        unknown = set(slots) - set(entry.parameters())
        if unknown:
            raise ValueError(f"{target.__module__}.{name} has no parameter {sorted(unknown)} to make a slot of")
        self._entries[name] = entry
        return target

    def get(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises:
            KeyError: If the name is unknown, with the nearest and all known names.
        """
        if name not in self._entries:
            raise KeyError(self.unknown(name))
        return self._entries[name]

    def unknown(self, name: str) -> str:
        """Return the message for an unknown name."""
        suggestion = nearest(name, self._entries) or ";"
        return f"no {self.kind} is named {name!r}{suggestion} Known: {', '.join(self.names()) or 'none'}"

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self.names())})"
