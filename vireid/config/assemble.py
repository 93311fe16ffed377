"""From a config to the objects of an experiment, and the whole check before any image is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vireid.data
import vireid.evaluation
import vireid.losses
import vireid.models
import vireid.retrieval  # noqa: F401  importing these fills the registries
from vireid.config.builder import Part, construct
from vireid.config.loader import Config, read_config
from vireid.config.plan import Plan, make_plan
from vireid.core.binding import requested
from vireid.core.errors import ConfigError, DataError
from vireid.core.protocols import Dataset, Scorer
from vireid.core.rng import seeded
from vireid.core.types import Facts, Modality, Sample
from vireid.core.vocabulary import ATTRIBUTE_FIELDS, BATCH_FIELDS, MODEL_FIELDS
from vireid.data.transforms import Augment
from vireid.engine.optim import parameter_groups
from vireid.evaluation.evaluator import Evaluator
from vireid.losses.objective import Objective, Term
from vireid.models.net import CrossModalityNet


def load(path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> Config:
    """Read and check a config; ConfigError with every fault of the files and of their content."""
    config, found = read_config(path, overrides)
    found += problems(config)
    if found:
        raise ConfigError(dict.fromkeys(found))
    return config


def check(config: Config, facts: Facts | None = None) -> None:
    """Raise ConfigError with everything that is wrong. Opens no file of the data set."""
    found = problems(config, facts)
    if found:
        raise ConfigError(found)


def problems(config: Config, facts: Facts | None = None) -> list[str]:
    """Everything that is wrong with a config: settings, nodes, then what parts need of each other.

    Sound parts are built on the CPU without pretrained weights, so that constructors and bindings have their say.
    Without `facts` the data set's placeholder facts are used. Global random numbers stay as they were.
    """
    plan = make_plan(config, facts)
    with seeded(0):
        return list(dict.fromkeys(_Trial(plan).run()))


def facts_of(config: Config) -> Facts:
    """The placeholder facts of the config's data set: what is known without data."""
    return make_plan(config).facts


def dataset(config: Config) -> Dataset:
    return _built(_sound_plan(config, "DATA"), "DATA")


def sampler(config: Config, samples: Sequence[Sample], rank: int = 0, world: int = 1) -> Any:
    """The batch sampler over the training samples."""
    plan = _sound_plan(config, "SAMPLER")
    return _built(plan, "SAMPLER", samples=samples, seed=config.SEED, rank=rank, world=world)


def augment(config: Config) -> Augment:
    plan = _sound_plan(config, "AUGMENTATION")
    steps = {name: construct(part, {}) for name, part in plan.entries("AUGMENTATION").items()}
    return Augment(steps, seed=config.SEED)


def model(config: Config, facts: Facts, *, weights: bool = True) -> CrossModalityNet:
    """The network on the CPU; without `weights` nothing pretrained is loaded (for shapes, or before a checkpoint)."""
    plan = _sound_plan(config, *MODEL_SLOTS, facts=facts)
    return build_model(plan, dry=not weights)


def objective(config: Config, facts: Facts, model: CrossModalityNet) -> Objective:
    plan = _sound_plan(config, "OBJECTIVE", facts=facts)
    return build_objective(plan, provided_to_losses(model.provides, facts), model.dims)


def optimizer(config: Config, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer over parameter groups (`engine.optim.parameter_groups`)."""
    return _built(_sound_plan(config, "SOLVER"), "SOLVER", params=list(groups))


def lr_schedule(config: Config) -> Any:
    """Epoch -> factor of the learning rate; always 1 where SOLVER has no SCHEDULE."""
    part = _solver(config).extras.get("SCHEDULE")
    return construct(part, {}) if part is not None else constant


def epochs(config: Config) -> int:
    return _solver(config).extras["EPOCHS"]


def lr_scale(config: Config) -> dict[str, float]:
    """Module path -> factor of its learning rate."""
    return _solver(config).extras.get("LR_SCALE") or {}


def scorer(config: Config) -> Scorer:
    return _built(_sound_plan(config, "SCORER"), "SCORER")


def evaluators(config: Config) -> dict[str, Evaluator]:
    """One evaluator for each entry of EVALUATION, by lower-cased name."""
    plan = _sound_plan(config, "EVALUATION", "SCORER")
    score = _built(plan, "SCORER")
    return {name: Evaluator(construct(part, {}), score=score) for name, part in plan.entries("EVALUATION").items()}


def constant(epoch: int) -> float:
    """A learning rate that never changes."""
    return 1.0


MODEL_SLOTS = ("MODEL.BACKBONE", "MODEL.POOL", "MODEL.ADAPTER", "MODEL.ATTRIBUTES", "MODEL.HEADS")


def _sound_plan(config: Config, *keys: str, facts: Facts | None = None) -> Plan:
    """A plan of which these slots have no problem; ConfigError with all problems otherwise."""
    plan = make_plan(config, facts)
    if not plan.sound(*keys):
        raise ConfigError(plan.problems)
    return plan


def _built(plan: Plan, key: str, **given: Any) -> Any:
    part = plan.part(key)
    if part is None:
        raise ConfigError([f"{key} is none"])
    return construct(part, given)


def _solver(config: Config) -> Part:
    part = _sound_plan(config, "SOLVER").part("SOLVER")
    assert part is not None  # required, hence a problem otherwise
    return part


def provided_to_losses(by_model: Iterable[str], facts: Facts) -> frozenset[str]:
    """Names of the fields that loss terms may ask for."""
    absent = frozenset() if facts.num_attributes else ATTRIBUTE_FIELDS
    return frozenset(by_model) | frozenset(BATCH_FIELDS) - absent


def width_of(part: Part, widths: Mapping[str, int]) -> int:
    """Width of the field bound to the first forward parameter whose width is known; 0 where none is."""
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
    parts, found = ModelParts(plan, dry=dry), []
    built = parts.build(found)
    if found:
        raise ConfigError(found)
    return built()


class ModelParts:
    """Builds the parts of a model one by one, so that one refusal does not hide the next."""

    def __init__(self, plan: Plan, *, dry: bool) -> None:
        self.plan, self.dry = plan, dry
        self.given = asdict(plan.facts)
        self.widths: dict[str, int] = {}
        self.provided: set[str] = set(MODEL_FIELDS)
        self.complete = False  # whether all parts were built, so that `provided` is all there will be

    def build(self, found: list[str]) -> Any:
        """A function that puts the network together; problems of single parts go to `found`."""
        plan, before = self.plan, len(found)
        backbone = self._part(plan.part("MODEL.BACKBONE"), found)
        if backbone is None:
            return None
        self.given["channels"] = backbone.channels
        self.widths = dict.fromkeys(MODEL_FIELDS, backbone.channels)
        pool = self._part(plan.part("MODEL.POOL"), found)
        attributes = self._part(plan.part("MODEL.ATTRIBUTES"), found)
        adapter = self._part(plan.part("MODEL.ADAPTER"), found)
        heads = {}
        for name, part in plan.entries("MODEL.HEADS").items():
            heads[name] = self._part(part, found)
        if len(found) > before:
            return None
        self.complete = True
        return lambda: CrossModalityNet(
            backbone=backbone,
            pool=pool,
            heads=heads,
            uses={name: part.uses for name, part in plan.entries("MODEL.HEADS").items() if part.uses},
            adapter=adapter,
            attributes=attributes,
            descriptor=plan.config.MODEL.DESCRIPTOR,
        )

    def _part(self, part: Part | None, found: list[str]) -> Any:
        if part is None:
            return None
        if self.dry:
            part = without_weights(part)
        built = _attempt(part, {**self.given, "feature_dim": width_of(part, self.widths)}, found)
        self.widths.update(getattr(built, "dims", {}))
        self.provided.update(getattr(built, "provides", ()))
        return built


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


class _Trial:
    """Builds whatever of a plan is sound, and collects what constructors and bindings say."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.found = plan, list(plan.problems)

    def run(self) -> list[str]:
        plan = self.plan
        self._small_parts()
        net, parts = None, ModelParts(plan, dry=True)
        if plan.sound(*MODEL_SLOTS):
            net = self._model(parts)
        terms = self._objective(net, parts)
        if net is not None and terms is not None and plan.sound("SOLVER"):
            self._optimizer(net, terms)
        return self.found

    def _small_parts(self) -> None:
        plan = self.plan
        steps = plan.entries("AUGMENTATION").values()
        for part in [*steps, *plan.entries("EVALUATION").values(), plan.part("SCORER"), plan.part("DATA")]:
            if part is not None:
                self._construct(part)
        if plan.part("SAMPLER") is not None:
            self._construct(plan.part("SAMPLER"), samples=_imagined(plan.facts), seed=0, rank=0, world=1)
        solver = plan.part("SOLVER")
        if solver is not None:
            self._construct(solver, params=[nn.Parameter(torch.zeros(1))])
            if solver.extras.get("SCHEDULE") is not None:
                self._construct(solver.extras["SCHEDULE"])

    def _construct(self, part: Part, **given: Any) -> None:
        try:
            construct(part, given)
        except ConfigError as error:
            if not isinstance(error.__cause__, DataError):  # that is for the run, which has the data
                self.found += error.problems

    def _model(self, parts: ModelParts) -> CrossModalityNet | None:
        build = parts.build(self.found)
        if build is None:
            return None
        try:
            return build()
        except ConfigError as error:
            self.found += error.problems
            return None

    def _objective(self, net: CrossModalityNet | None, parts: ModelParts) -> Objective | None:
        """Bind the terms to what the model provides, or only construct them where there is no model."""
        plan, before = self.plan, len(self.found)
        if net is None and not parts.complete:
            return None
        terms = build_terms(plan, parts.widths, self.found)
        if not terms:
            return None
        try:
            built = Objective(terms, provided=provided_to_losses(parts.provided, plan.facts))
        except ConfigError as error:
            self.found += error.problems
            return None
        return built if plan.sound("OBJECTIVE") and len(self.found) == before else None

    def _optimizer(self, net: CrossModalityNet, terms: Objective) -> None:
        solver = self.plan.part("SOLVER")
        assert solver is not None
        try:
            parameter_groups(net, terms, solver.extras.get("LR_SCALE") or {})
        except ConfigError as error:
            place = self.plan.config.origins.place(("SOLVER", "LR_SCALE"))
            self.found += [f"{place}: {problem}" for problem in error.problems]


def _imagined(facts: Facts, images: int = 4) -> list[Sample]:
    """A training list of the right number of identities, without files."""
    return [
        Sample(Path(f"{identity}-{modality}-{number}"), identity, modality, camera=1 + 2 * modality)
        for identity in range(facts.num_ids)
        for modality in Modality
        for number in range(images)
    ]
