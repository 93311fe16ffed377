"""Construction of network and objective: the widths of fields flow from part to part, never through YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from vireid.config.checked import Components
from vireid.config.component import Component, construct, parameters
from vireid.config.load import Config
from vireid.core.binding import requested
from vireid.core.errors import ConfigError, Problem
from vireid.core.fields import ATTRIBUTE_FIELDS, BATCH_FIELDS, MODEL_FIELDS
from vireid.core.types import DatasetInfo
from vireid.losses.objective import Term
from vireid.models.cross_modality_net import CrossModalityNet

MODEL_SLOTS = ("MODEL.BACKBONE", "MODEL.POOL", "MODEL.ADAPTER", "MODEL.ATTRIBUTES", "MODEL.HEADS")


def provided_to_losses(by_model: Iterable[str], info: DatasetInfo) -> frozenset[str]:
    """Names of the fields that loss terms may request."""
    missing = frozenset() if info.num_attributes else ATTRIBUTE_FIELDS
    return frozenset(by_model) | frozenset(BATCH_FIELDS) - missing


class ModelBuilder:
    """Builds the parts of a network one by one, so that the problems of all of them are found.

    Args:
        config: The configuration, for the settings of the network.
        components: Its components.
        info: Numbers of the dataset.
        dry: Build without stored weights.
        image_size: (H, W) of the images; None: SIZE of the configuration, which must be valid.

    Attributes:
        widths: Width of each field that is known.
        provided: Fields that the parts provide.
        complete: Whether all parts were built, so that `provided` has all fields.
        problems: What constructors refused.
    """

    def __init__(
        self,
        config: Config,
        components: Components,
        info: DatasetInfo,
        *,
        dry: bool,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        self.config, self.components, self.dry = config, components, dry
        self.values: dict[str, Any] = {**asdict(info), "image_size": image_size or tuple(config.SIZE)}
        self.widths: dict[str, int] = {}
        self.provided: set[str] = set(MODEL_FIELDS)
        self.complete = False
        self.problems: list[Problem] = []

    def build(self) -> Callable[[], CrossModalityNet] | None:
        """Construct the parts. Returns a function that puts them together, or None if there are problems."""
        components = self.components
        backbone: Any = self._part(components.one("MODEL.BACKBONE"))
        if backbone is not None:
            self.values["channels"] = int(backbone.channels)
            self.widths |= {name: int(backbone.channels) for name in MODEL_FIELDS}
        pool = self._part(components.one("MODEL.POOL"))
        attributes = self._part(components.one("MODEL.ATTRIBUTES"))
        adapter = self._part(components.one("MODEL.ADAPTER"))
        heads = {name: self._part(head) for name, head in components.entries("MODEL.HEADS").items()}
        if self.problems:
            return None
        self.complete = True
        arguments: dict[str, Any] = {
            "backbone": backbone,
            "pool": pool,
            "heads": heads,
            "uses": {name: head.uses for name, head in components.entries("MODEL.HEADS").items() if head.uses},
            "adapter": adapter,
            "attributes": attributes,
            "embedding": self.config.MODEL.EMBEDDING,
            "normalize": self.config.MODEL.NORMALIZE,
        }
        return lambda: CrossModalityNet(**arguments)

    def _part(self, component: Component | None) -> Any:
        if component is None or (
            component.keys != ("MODEL", "BACKBONE") and not self.widths and needs_width(component)
        ):
            return None
        if self.dry:
            component = without_weights(component)
        part = attempt(component, {**self.values, "feature_dim": width_of(component, self.widths)}, self.problems)
        self.widths.update(getattr(part, "dims", {}))
        self.provided.update(getattr(part, "provides", ()))
        return part


def width_of(component: Component, widths: Mapping[str, int]) -> int:
    """Width of the field bound to the first `forward` parameter whose width is known; 0 if none is known.

    A wrapper derives its request once it is built; its class attribute `width_of` names the argument with the field.
    """
    argument = getattr(component.entry.target, "width_of", None)
    if argument is not None:
        names = [str(component.arguments.get(argument))]
    else:
        try:
            names = list(requested(component.entry.target))
        except TypeError:  # the request is known only once it is built
            names = []
    for name in names:
        width = widths.get(component.uses.get(name, name), 0)
        if width:
            return width
    return 0


def needs_width(component: Component) -> bool:
    """Whether a component, or one nested in it, has a parameter for the width of a field."""
    nested = [value for value in component.arguments.values() if isinstance(value, Component)]
    return bool({"channels", "feature_dim"} & set(parameters(component.entry))) or any(map(needs_width, nested))


def without_weights(component: Component) -> Component:
    """The same component with the arguments that its class declares for building without stored weights."""
    declared = getattr(component.entry.target, "without_weights", {})
    return replace(component, arguments={**component.arguments, **declared})


def build_terms(
    components: Components, info: DatasetInfo, widths: Mapping[str, int], problems: list[Problem]
) -> dict[str, Term]:
    """The terms of OBJECTIVE that can be built; what constructors refuse is added to `problems`."""
    terms = {}
    for name, component in components.entries("OBJECTIVE").items():
        if not widths and needs_width(component):
            continue  # the network could not be built, which was reported
        channels, feature_dim = widths.get("feature_map", 0), width_of(component, widths)
        values = {**asdict(info), "channels": channels, "feature_dim": feature_dim}
        loss = attempt(component, values, problems)
        schedule = component.extras.get("SCHEDULE")
        factor = attempt(schedule, values, problems) if schedule is not None else None
        if loss is not None:
            weight = component.extras.get("WEIGHT", 1.0)
            terms[name] = Term(loss, weight=weight, uses=component.uses or None, schedule=factor)
    return terms


def attempt(component: Component, values: Mapping[str, Any], problems: list[Problem]) -> Any:
    """The object of a component; None after its problems were added to `problems`."""
    try:
        return construct(component, values)
    except ConfigError as error:
        problems += error.problems
        return None
