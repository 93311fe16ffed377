"""Which parts fit the labels of a training: those of the dataset, or pseudo labels that LABELS makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vireid.config.checked import Components
from vireid.config.component import Component, parameters
from vireid.core import registries
from vireid.core.errors import Problem
from vireid.core.registry import Registry
from vireid.core.types import DatasetInfo

_NUMBERS = {"num_ids": "the number of identities", "num_attributes": "attributes of persons"}


def makes_labels(components: Components) -> bool:
    """Whether the labels of the training are pseudo labels."""
    source = components.one("LABELS")
    return source is not None and hasattr(source.entry.target, "assign")


def without_annotation(info: DatasetInfo) -> DatasetInfo:
    """The numbers of a dataset that a training with pseudo labels receives: no identities, no attributes."""
    return replace(info, num_ids=0, num_attributes=0)


def label_problems(components: Components) -> list[Problem]:
    """Parts that do not fit LABELS.

    With pseudo labels: samplers of identities, and parts that need the number of identities or attributes of persons.
    With the labels of the dataset: samplers and losses of clusters (losses declare `needs_clusters`).
    """
    source = components.one("LABELS")
    if source is None:
        return []
    if makes_labels(components):
        return list(_of_pseudo_labels(components, source.entry.name))
    return list(_of_annotation(components))


def _of_pseudo_labels(components: Components, source: str) -> Iterator[Problem]:
    sampler = components.one("SAMPLER")
    if sampler is not None and not hasattr(sampler.entry.target, "set_labels"):
        known = _named(registries.SAMPLERS, "set_labels")
        yield sampler.problem(f" draws identities of the dataset, which LABELS = {source} hides; use {known}")
    keys = ("MODEL.BACKBONE", "MODEL.POOL", "MODEL.ADAPTER", "MODEL.ATTRIBUTES")
    parts = [components.one(key) for key in keys]
    parts += [*components.entries("MODEL.HEADS").values(), *components.entries("OBJECTIVE").values()]
    for part in parts:
        for component in _with_nested(part):
            for number in sorted(_NUMBERS.keys() & set(parameters(component.entry))):
                yield component.problem(
                    f" needs {_NUMBERS[number]}, which LABELS = {source} hides from the training; remove it, or use"
                    " the labels of the dataset (LABELS AnnotatedLabels)"
                )


def _of_annotation(components: Components) -> Iterator[Problem]:
    known = _named(registries.LABEL_SOURCES, "assign")
    sampler = components.one("SAMPLER")
    if sampler is not None and hasattr(sampler.entry.target, "set_labels"):
        yield sampler.problem(f" draws clusters of pseudo labels; set LABELS to {known}")
    for component in components.entries("OBJECTIVE").values():
        if getattr(component.entry.target, "needs_clusters", False):
            yield component.problem(f" compares with clusters of pseudo labels; set LABELS to {known}")


def _with_nested(value: Any) -> Iterator[Component]:
    """A component and all components in its arguments."""
    if isinstance(value, Component):
        yield value
        for nested in value.arguments.values():
            yield from _with_nested(nested)
    elif isinstance(value, dict):
        for nested in value.values():
            yield from _with_nested(nested)


def _named(registry: Registry, attribute: str) -> str:
    return " or ".join(name for name in registry.names() if hasattr(registry.get(name).target, attribute))
