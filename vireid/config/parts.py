"""Model and objective from a checked plan: widths flow from part to part here, never through YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from vireid.config.builder import Part, construct, parameters
from vireid.config.plan import Plan
from vireid.core.binding import requested
from vireid.core.errors import ConfigError
from vireid.core.fields import ATTRIBUTE_FIELDS, BATCH_FIELDS, MODEL_FIELDS
from vireid.core.types import DatasetInfo
from vireid.losses.objective import Objective, Term
from vireid.models.cross_modality_net import CrossModalityNet

MODEL_SLOTS = ("MODEL.BACKBONE", "MODEL.POOL", "MODEL.ADAPTER", "MODEL.ATTRIBUTES", "MODEL.HEADS")


def provided_to_losses(by_model: Iterable[str], facts: DatasetInfo) -> frozenset[str]:
    """Names of the fields that loss terms may ask for."""
    absent = frozenset() if facts.num_attributes else ATTRIBUTE_FIELDS
    return frozenset(by_model) | frozenset(BATCH_FIELDS) - absent


def width_of(part: Part, widths: Mapping[str, int]) -> int:
    """Width of the field bound to the first forward parameter whose width is known; 0 where none is.

    A wrapper, whose request is known only once it is built, says in `width_of` which of its arguments names the field.
    """
    argument = getattr(part.entry.target, "width_of", None)
    if argument is not None:
        names = [str(part.arguments.get(argument))]
    else:
        try:
            names = list(requested(part.entry.target))
        except TypeError:  # a wrapper that derives its needs once it is built
            names = []
    for name in names:
        width = widths.get(part.uses.get(name, name), 0)
        if width:
            return width
    return 0


def build_model(plan: Plan, *, dry: bool = False) -> CrossModalityNet:
    """The network of a plan whose MODEL is sound. ConfigError names all parts that refuse or cannot be bound."""
    found: list[str] = []
    build = ModelParts(plan, dry=dry).build(found)
    if build is None:
        raise ConfigError(found)
    return build()


class ModelParts:
    """Builds the parts of a model one by one, so that one refusal does not hide the next."""

    def __init__(self, plan: Plan, *, dry: bool) -> None:
        self.plan, self.dry = plan, dry
        self.given = asdict(plan.facts)
        self.widths: dict[str, int] = {}
        self.provided: set[str] = set(MODEL_FIELDS)
        self.complete = False  # whether all parts were built, so that `provided` is all there will be

    def build(self, found: list[str]) -> Callable[[], CrossModalityNet] | None:
        """A function that puts the network together; None where parts refuse, their problems are in `found` then."""
        plan, before = self.plan, len(found)
        backbone: Any = self._part(plan.part("MODEL.BACKBONE"), found)
        if backbone is not None:
            self.given["channels"] = int(backbone.channels)
            self.widths |= {name: int(backbone.channels) for name in MODEL_FIELDS}
        pool = self._part(plan.part("MODEL.POOL"), found)
        attributes = self._part(plan.part("MODEL.ATTRIBUTES"), found)
        adapter = self._part(plan.part("MODEL.ADAPTER"), found)
        heads = {}
        for name, part in plan.entries("MODEL.HEADS").items():
            heads[name] = self._part(part, found)
        if len(found) > before:
            return None
        self.complete = True
        arguments: dict[str, Any] = {
            "backbone": backbone,
            "pool": pool,
            "heads": heads,
            "uses": {name: part.uses for name, part in plan.entries("MODEL.HEADS").items() if part.uses},
            "adapter": adapter,
            "attributes": attributes,
            "descriptor": plan.config.MODEL.DESCRIPTOR,
            "unit": plan.config.MODEL.UNIT,
        }
        return lambda: CrossModalityNet(**arguments)

    def _part(self, part: Part | None, found: list[str]) -> Any:
        if part is None or (part.keys != ("MODEL", "BACKBONE") and not self.widths and needs_width(part)):
            return None
        if self.dry:
            part = without_weights(part)
        built = _attempt(part, {**self.given, "feature_dim": width_of(part, self.widths)}, found)
        self.widths.update(getattr(built, "dims", {}))
        self.provided.update(getattr(built, "provides", ()))
        return built


def needs_width(part: Part) -> bool:
    """Whether a part cannot be built before the widths of its fields are known."""
    inner = [value for value in part.arguments.values() if isinstance(value, Part)]
    return bool({"channels", "feature_dim"} & set(parameters(part.entry))) or any(map(needs_width, inner))


def without_weights(part: Part) -> Part:
    """The same part with the arguments that its class declares for building without stored weights."""
    return replace(part, arguments={**part.arguments, **getattr(part.entry.target, "without_weights", {})})


def build_objective(plan: Plan, provided: frozenset[str], widths: Mapping[str, int]) -> Objective:
    """The objective of a plan whose OBJECTIVE is sound."""
    found: list[str] = []
    terms = build_terms(plan, widths, found)
    if found:
        raise ConfigError(found)
    return Objective(terms, provided=provided)


def build_terms(plan: Plan, widths: Mapping[str, int], found: list[str]) -> dict[str, Term]:
    """The terms that can be built; problems of the others go to `found`."""
    terms = {}
    for name, part in plan.entries("OBJECTIVE").items():
        if not widths and needs_width(part):
            continue  # the model could not be built, which was reported
        given = {**asdict(plan.facts), "channels": widths.get("feature_map", 0), "feature_dim": width_of(part, widths)}
        loss = _attempt(part, given, found)
        schedule = part.extras.get("SCHEDULE")
        factor = _attempt(schedule, given, found) if schedule is not None else None
        if loss is not None:
            weight = part.extras.get("WEIGHT", 1.0)
            terms[name] = Term(loss, weight=weight, uses=part.uses or None, schedule=factor)
    return terms


def _attempt(part: Part, given: Mapping[str, Any], found: list[str]) -> Any:
    try:
        return construct(part, given)
    except ConfigError as error:
        found += error.problems
        return None
