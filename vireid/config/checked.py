"""Results of the check of a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vireid.config.component import Component
from vireid.config.load import Config
from vireid.core.errors import Problem
from vireid.core.types import DatasetInfo


@dataclass(frozen=True)
class Components:
    """The components of all slots.

    Args:
        by_slot: Key of a slot -> component, None, or for a slot that holds a map {entry: component}.
    """

    by_slot: Mapping[str, Component | Mapping[str, Component] | None]

    def one(self, key: str) -> Component | None:
        """The component of a slot that holds one."""
        component = self.by_slot.get(key)
        assert component is None or isinstance(component, Component), f"{key} holds a map"
        return component

    def required(self, key: str) -> Component:
        """The component of a required slot of a configuration without problems."""
        component = self.one(key)
        assert component is not None, f"{key} is empty"
        return component

    def entries(self, key: str) -> Mapping[str, Component]:
        """The components of a slot that holds a map, by lower-cased name."""
        entries = self.by_slot.get(key) or {}
        assert not isinstance(entries, Component), f"{key} holds one component"
        return entries

    def __iter__(self) -> Iterator[Component]:
        for value in self.by_slot.values():
            if isinstance(value, Component):
                yield value
            else:
                yield from (value or {}).values()


@dataclass(frozen=True)
class CheckedConfig:
    """A configuration without problems, as `check_config` returns it.

    Args:
        config: The frozen tree of settings, with the file that wrote each key.
        components: The components of all slots.
        info: Numbers that the dataset class declares, known without its files.
    """

    config: Config
    components: Components
    info: DatasetInfo


@dataclass
class StaticCheck:
    """A configuration compared with the schema and the constructors; nothing is built yet.

    Args:
        config: The configuration.
        info: Numbers of the dataset, or the placeholder of its class.
        problems: Everything that is wrong.
        components: Components of the slots, None or missing entries where there are problems.
        broken: Keys of settings and slots that have problems.
    """

    config: Config
    info: DatasetInfo
    problems: list[Problem]
    components: Components
    broken: set[str] = field(default_factory=set)

    def sound(self, *keys: str) -> bool:
        """Whether these settings and slots have no problems."""
        return not self.broken.intersection(keys)
