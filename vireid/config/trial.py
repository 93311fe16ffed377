"""The part of the check that needs objects: build what is sound, and listen to constructors and bindings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vireid.config.builder import Part, construct
from vireid.config.parts import MODEL_SLOTS, ModelParts, build_terms, provided_to_losses
from vireid.config.plan import Plan
from vireid.core.errors import ConfigError, DataError
from vireid.core.rng import seeded
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.engine.freezing import Freezing
from vireid.engine.optim import parameter_groups
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet


def try_out(plan: Plan) -> Trial:
    """Build what is sound in a plan, without weights and, where parts allow it, without memory or arithmetic."""
    with seeded(0):
        small = small_parts(plan)
    trial = Trial(plan, small)
    try:
        with seeded(0), torch.device("meta"), _copies_to_meta_unreported():
            trial.run()
    except (RuntimeError, NotImplementedError, TypeError):  # a constructor looked at the values of a tensor
        trial.found.append("")
    if trial.found != [*plan.problems, *small]:
        trial = Trial(plan, small)  # numbers that the meta device does not have may be what was missing
        with seeded(0):
            trial.run()
    return trial


@contextmanager
def _copies_to_meta_unreported() -> Iterator[None]:
    """Silence torch's warning for each tensor that a constructor loads into a module on the meta device.

    A part that loads weights although it was built for a check has one warning for each of its tensors; they are about
    the check, not about the run. Other warnings pass.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="for .*: copying from a non-meta parameter")
        yield


def small_parts(plan: Plan) -> list[str]:
    """What the constructors say that need neither a network nor anything of it."""
    found: list[str] = []
    steps = [*plan.entries("AUGMENTATION").values(), *plan.entries("VIEWS").values()]
    protocols = plan.entries("EVALUATION").values()
    beside = [extra for part in protocols for extra in part.extras.values()]  # re-rankings
    for part in [*steps, *protocols, *beside, plan.part("SCORER"), plan.part("DATA")]:
        if part is not None:
            _construct(found, part)
    sampler = plan.part("SAMPLER")
    if sampler is not None:
        _construct(found, sampler, samples=_imagined(plan.facts), seed=0, rank=0, world=1)
    solver = plan.part("SOLVER")
    if solver is not None:
        _construct(found, solver, params=[nn.Parameter(torch.zeros(1))])
        if solver.extras.get("SCHEDULE") is not None:
            _construct(found, solver.extras["SCHEDULE"])
    return found


def _construct(found: list[str], part: Part, **given: Any) -> None:
    try:
        construct(part, given)
    except ConfigError as error:
        found += error.problems
    except DataError:
        pass  # the run has the data and will say it


class Trial:
    """Builds the network and the objective as far as a plan is sound, and collects what constructors and bindings say.

    `found` begins with the problems of the plan and of its small parts.
    """

    def __init__(self, plan: Plan, small: list[str]) -> None:
        self.plan, self.found = plan, [*plan.problems, *small]
        self.net: CrossModalityNet | None = None
        self.objective: Objective | None = None

    def run(self) -> None:
        parts = ModelParts(self.plan, dry=True)
        if self.plan.sound(*MODEL_SLOTS):
            self.net = self._model(parts)
        self.objective = self._objective(parts)
        if self.net is not None and self.objective is not None and self.plan.sound("SOLVER"):
            self._optimizer(self.net, self.objective)

    def _model(self, parts: ModelParts) -> CrossModalityNet | None:
        build = parts.build(self.found)
        if build is None or not self.plan.sound("MODEL.DESCRIPTOR"):
            return None
        try:
            return build()
        except ConfigError as error:
            self.found += error.problems
            return None

    def _objective(self, parts: ModelParts) -> Objective | None:
        """Bind the terms to what the model provides, or only construct them where that is not known."""
        plan, before = self.plan, len(self.found)
        terms = build_terms(plan, parts.widths, self.found)
        if not terms or not parts.complete:
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
        for key, look in {"LR_SCALE": parameter_groups, "FREEZE": Freezing}.items():
            try:
                look(net, terms, solver.extras.get(key) or {})
            except ConfigError as error:
                place = self.plan.config.origins.place(("SOLVER", key))
                self.found += [f"{place}: {problem}" for problem in error.problems]


def _imagined(facts: DatasetInfo, images: int = 4) -> list[Sample]:
    """A training list of the right number of identities, without files."""
    return [
        Sample(Path(f"{identity}-{modality}-{number}"), identity, modality, camera=1 + 2 * modality)
        for identity in range(facts.num_ids)
        for modality in Modality
        for number in range(images)
    ]
