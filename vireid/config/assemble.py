"""From a config to the objects of an experiment, and the whole check before any image is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vireid.config.builder import Part, construct
from vireid.config.load import Config, read_config
from vireid.config.parts import MODEL_SLOTS, build_model, build_objective, provided_to_losses
from vireid.config.plan import Plan, make_plan
from vireid.config.trial import try_out
from vireid.core.errors import ConfigError, UserError
from vireid.core.interfaces import Dataset, Scorer
from vireid.core.rng import derive
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.augment.transforms import Augment, RowFilter
from vireid.data.images.depth import DepthMapping, depth_mapping
from vireid.evaluation.evaluator import Evaluator
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet


def load_config(path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> Config:
    """Read a config file with its bases and check the whole config; no file of the dataset is opened.

    Args:
        path: A YAML file.
        overrides: Settings that win over the file: `["KEY", "VALUE", ...]` as on the command line, or a mapping.

    Raises:
        ConfigError: With every fault of the files and of their content.
    """
    config, found = read_config(path, overrides)
    found += problems(config)
    if found:
        raise ConfigError(dict.fromkeys(found))
    return config


load = load_config  # the name inside the package


def check(config: Config, facts: DatasetInfo | None = None) -> None:
    """Raise ConfigError with everything that is wrong. Opens no file of the data set."""
    found = problems(config, facts)
    if found:
        raise ConfigError(found)


def problems(config: Config, facts: DatasetInfo | None = None) -> list[str]:
    """Everything that is wrong with a config: settings, nodes, then what parts need of each other.

    Sound parts are built on the CPU without pretrained weights, so that constructors and bindings have their say.
    Without `facts` the data set's placeholder facts are used. Global random numbers stay as they were.
    """
    return list(dict.fromkeys(try_out(make_plan(config, facts)).found))


def facts_of(config: Config) -> DatasetInfo:
    """The placeholder facts of the config's data set: what is known without data."""
    return make_plan(config).facts


def dataset(config: Config) -> Dataset:
    """The data set of DATA; nothing is read before it is asked."""
    return _built(_sound_plan(config, "DATA"), "DATA")


def depth(config: Config) -> DepthMapping | None:
    """How gray images of more than 8 bits become 8 bits (DATA.DEPTH); None: they are refused."""
    part = _sound_plan(config, "DATA").part("DATA")
    return None if part is None else depth_mapping(part.extras.get("DEPTH"))


def sampler(config: Config, samples: Sequence[Sample], rank: int = 0, world: int = 1) -> Any:
    """The batch sampler over the training samples."""
    plan = _sound_plan(config, "SAMPLER")
    return _built(plan, "SAMPLER", samples=samples, seed=config.SEED, rank=rank, world=world)


def augment(config: Config) -> Augment:
    """All entries of AUGMENTATION in their order, then what makes each of the VIEWS; drawing from SEED."""
    plan = _sound_plan(config, "AUGMENTATION", "VIEWS")
    steps, only = {}, {}
    for name, part in plan.entries("AUGMENTATION").items():
        steps[name] = construct(part, {})
        only[name] = RowFilter(_modality(part), part.extras.get("VIEW"))
    for number, (name, part) in enumerate(plan.entries("VIEWS").items(), start=1):
        steps[f"views.{name}"] = construct(part, {})
        only[f"views.{name}"] = RowFilter(_modality(part), number)
    only = {name: limit for name, limit in only.items() if limit != RowFilter()}
    try:
        return Augment(steps, seed=config.SEED, only=only)
    except ValueError as error:
        raise ConfigError([f"AUGMENTATION: {error}"]) from error


def views(config: Config) -> list[Modality | None]:
    """For each entry of VIEWS the modality of the images that stand in a batch once more; None: all images."""
    return [_modality(part) for part in _sound_plan(config, "VIEWS").entries("VIEWS").values()]


def view(config: Config, number: int) -> tuple[Modality | None, Augment]:
    """The entry of VIEWS with this number (the first is 1): of which images it is, and what makes it, alone.

    Errors: ConfigError where there are not so many.
    """
    parts = list(_sound_plan(config, "VIEWS").entries("VIEWS").items())
    if not 1 <= number <= len(parts):
        there = "VIEWS is empty" if not parts else f"VIEWS ends with view {len(parts)}"
        raise ConfigError([f"a part of the objective asks for view {number} of the training images, but {there}"])
    name, part = parts[number - 1]
    return _modality(part), Augment({name: construct(part, {})}, seed=derive(config.SEED, number))


def _modality(part: Part) -> Modality | None:
    name = part.extras.get("MODALITY")
    return None if name is None else Modality[name.upper()]


def model(config: Config, facts: DatasetInfo, *, weights: bool = True) -> CrossModalityNet:
    """The network on the CPU; without `weights` nothing pretrained is loaded (for shapes, or before a checkpoint)."""
    plan = _sound_plan(config, *MODEL_SLOTS, "MODEL.DESCRIPTOR", facts=facts)
    return build_model(plan, dry=not weights)


def objective(config: Config, facts: DatasetInfo, model: CrossModalityNet) -> Objective:
    """The terms of OBJECTIVE, bound to what this model and batches of this data provide."""
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
    """How many epochs SOLVER asks for."""
    return _solver(config).extras["EPOCHS"]


def lr_scale(config: Config) -> dict[str, float]:
    """Module path -> factor of its learning rate."""
    return _solver(config).extras.get("LR_SCALE") or {}


def freeze(config: Config) -> dict[str, int]:
    """Module path -> epochs after which it stops learning."""
    return _solver(config).extras.get("FREEZE") or {}


def scorer(config: Config) -> Scorer:
    """What fills the score matrix."""
    return _built(_sound_plan(config, "SCORER"), "SCORER")


def evaluators(config: Config) -> dict[str, Evaluator]:
    """One evaluator for each entry of EVALUATION, by lower-cased name."""
    plan = _sound_plan(config, "EVALUATION", "SCORER")
    score = _built(plan, "SCORER")
    return {name: _evaluator(part, score) for name, part in plan.entries("EVALUATION").items()}


def _evaluator(part: Part, score: Scorer) -> Evaluator:
    again, index = part.extras.get("RERANKING"), part.extras.get("INDEX")
    try:
        return Evaluator(
            construct(part, {}),
            score=score,
            rerank=None if again is None else construct(again, {}),
            index=None if index is None else lambda: construct(index, {}),
        )
    except UserError as error:
        raise ConfigError([f"{part.key}: {error}"]) from error


def constant(epoch: int) -> float:
    """A learning rate that never changes."""
    return 1.0


def _sound_plan(config: Config, *keys: str, facts: DatasetInfo | None = None) -> Plan:
    """A plan of which these slots have no problem; ConfigError with all problems otherwise."""
    plan = make_plan(config, facts)
    if not plan.sound(*keys):
        raise ConfigError(plan.problems)
    return plan


def _built(plan: Plan, key: str, **given: Any) -> Any:
    part = plan.part(key)
    assert part is not None  # required, hence a problem otherwise
    return construct(part, given)


def _solver(config: Config) -> Part:
    part = _sound_plan(config, "SOLVER").part("SOLVER")
    assert part is not None  # required, hence a problem otherwise
    return part
