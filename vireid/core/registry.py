"""Names to classes. A registry knows nothing of YAML; the builder on a higher floor does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vireid.core.errors import nearest


@dataclass(frozen=True)
class Entry:
    """A registered class and those of its constructor parameters that are components themselves."""

    name: str
    target: Callable[..., Any]
    slots: Mapping[str, Registry] = field(default_factory=dict)

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Constructor parameters by name, without `self`."""
        return dict(inspect.signature(self.target).parameters)


class Registry:
    """Components of one kind, found by class name.

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
        """Decorator: `@LOSSES.register`, or `@ADAPTERS.register(stages=STAGES)` where a parameter is a component.

        The class is returned unchanged. A name that is taken is an error naming both modules.
        """
        if target is None:
            return lambda decorated: self._add(decorated, slots)
        return self._add(target, slots)

    def _add(self, target: Callable[..., Any], slots: Mapping[str, Registry]) -> Callable[..., Any]:
        name = target.__name__
        if name in self._entries:
            taken = self._entries[name].target.__module__
            raise ValueError(f"the {self.kind} name {name!r} of {target.__module__} is taken by {taken}")
        entry = Entry(name, target, dict(slots))
        strangers = set(slots) - set(entry.parameters())
        if strangers:
            raise ValueError(f"{target.__module__}.{name} has no parameter {sorted(strangers)} to make a slot of")
        self._entries[name] = entry
        return target

    def get(self, name: str) -> Entry:
        """The entry of that name; KeyError with the nearest and all known names otherwise."""
        if name not in self._entries:
            raise KeyError(self.unknown(name))
        return self._entries[name]

    def unknown(self, name: str) -> str:
        """Text for a name that is not here."""
        suggestion = nearest(name, self._entries) or ";"
        return f"no {self.kind} is named {name!r}{suggestion} Known: {', '.join(self.names()) or 'none'}"

    def names(self) -> list[str]:
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self.names())})"
