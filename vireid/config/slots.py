"""The one table of sections: which key of a config holds which kind of component. Nothing else knows section names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vireid.core import registries
from vireid.core.registry import Registry
from vireid.data.images.depth import depth_fault

Keys = tuple[str, ...]


@dataclass(frozen=True)
class Extra:
    """A key that a node understands beside the constructor's arguments: it belongs to the slot, so it outlives NAME."""

    kind: Any = None  # annotation of a plain value ...
    registry: Registry | None = None  # ... or the registry of a component
    required: bool = False
    whole: bool = False  # a map that a child file replaces instead of merging (its keys contain dots)
    least: float | None = None
    check: Callable[[Any], str | None] = lambda value: None  # the rest of the sentence `KEY = value ...` if refused
    free: bool = False  # a run may be continued with another value


@dataclass(frozen=True)
class Slot:
    """Where components of one kind stand in a config."""

    path: Keys
    registry: Registry
    is_map: bool = False  # {ENTRY: node} instead of one node
    required: bool = False
    default: Mapping[str, Any] | None = None
    extras: Mapping[str, Extra] = field(default_factory=dict)
    runtime: frozenset[str] = frozenset()  # constructor parameters that only a run can fill
    free: bool = False  # a run may be continued with another component

    @property
    def key(self) -> str:
        return ".".join(self.path)


_MODALITY = Extra(Literal["visible", "infrared"] | None)  # of the images that the entry is for; null: all
_VIEW = Extra(int | None, least=0)  # 0: the images themselves; 1, 2, ...: the entries of VIEWS
_USES = Extra(Mapping[str, str] | None)

SLOTS: tuple[Slot, ...] = (
    Slot(
        ("DATA",),
        registries.DATASETS,
        required=True,
        # how gray images of more than 8 bits become 8 bits: {percentiles: [1, 99]} or {range: [low, high]}
        extras={"DEPTH": Extra(Mapping[str, tuple[float, float]] | None, whole=True, check=depth_fault)},
    ),
    Slot(
        ("SAMPLER",),
        registries.SAMPLERS,
        required=True,
        runtime=frozenset({"samples", "seed", "rank", "world"}),
    ),
    Slot(("AUGMENTATION",), registries.AUGMENTATIONS, is_map=True, extras={"MODALITY": _MODALITY, "VIEW": _VIEW}),
    Slot(("VIEWS",), registries.AUGMENTATIONS, is_map=True, extras={"MODALITY": _MODALITY}),
    Slot(("MODEL", "BACKBONE"), registries.BACKBONES, required=True),
    Slot(("MODEL", "POOL"), registries.POOLS, required=True),
    Slot(("MODEL", "ADAPTER"), registries.ADAPTERS),
    Slot(("MODEL", "ATTRIBUTES"), registries.ATTRIBUTE_SOURCES),
    Slot(("MODEL", "HEADS"), registries.HEADS, is_map=True, extras={"USES": _USES}),
    Slot(
        ("OBJECTIVE",),
        registries.LOSSES,
        is_map=True,
        required=True,
        extras={
            "WEIGHT": Extra(float),
            "SCHEDULE": Extra(registry=registries.TERM_SCHEDULES),
            "USES": _USES,
        },
    ),
    Slot(
        ("SOLVER",),
        registries.OPTIMIZERS,
        required=True,
        extras={
            "EPOCHS": Extra(int, required=True, least=1, free=True),
            "LR_SCALE": Extra(Mapping[str, float] | None, whole=True),
            "SCHEDULE": Extra(registry=registries.LR_SCHEDULES),
            "FREEZE": Extra(Mapping[str, int] | None, whole=True),
        },
        runtime=frozenset({"params"}),
    ),
    Slot(
        ("EVALUATION",),
        registries.PROTOCOLS,
        is_map=True,
        required=True,
        extras={
            "RERANKING": Extra(registry=registries.RERANKERS),
            "INDEX": Extra(registry=registries.INDEXES),
        },
        free=True,
    ),
    Slot(("SCORER",), registries.SCORERS, required=True, default={"NAME": "TorchScorer"}, free=True),
)

BY_PATH: dict[Keys, Slot] = {slot.path: slot for slot in SLOTS}


def slot_of_node(path: Keys) -> Slot | None:
    """The slot of which this path is a node: the path itself, or an entry of a map.

    >>> slot_of_node(("OBJECTIVE", "ID")).key, slot_of_node(("OBJECTIVE",))
    ('OBJECTIVE', None)
    """
    slot = BY_PATH.get(path)
    if slot is not None:
        return None if slot.is_map else slot
    above = BY_PATH.get(path[:-1])
    return above if above is not None and above.is_map else None


def is_whole(path: Keys) -> bool:
    """Whether a later file replaces the value at this path instead of merging into it."""
    slot = slot_of_node(path[:-1])
    return slot is not None and path[-1] in slot.extras and slot.extras[path[-1]].whole
