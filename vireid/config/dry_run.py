"""The part of the check that needs objects: construct every sound component and bind the parts to each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vireid.config.checked import StaticCheck
from vireid.config.component import Component
from vireid.config.schema import SETTINGS
from vireid.config.wiring import MODEL_SLOTS, ModelBuilder, attempt, build_terms, provided_to_losses
from vireid.core.errors import ConfigError, DataError, Problem
from vireid.core.rng import seeded
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.engine.callbacks import check_freeze
from vireid.engine.layer_decay import layer_scales
from vireid.engine.optim import parameter_groups
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet


def dry_run(static: StaticCheck) -> DryRun:
    """Construct what is sound, without weights and, where parts allow it, without memory or arithmetic."""
    with seeded(0):
        small = _small_components(static)
    run = DryRun(static, small)
    try:
        with seeded(0), torch.device("meta"), _copies_to_meta_unreported():
            run.run()
        complete = run.problems == [*static.problems, *small]
    except (RuntimeError, NotImplementedError, TypeError):  # a constructor reads the values of a tensor
        complete = False
    if not complete:  # values that the meta device does not have may be what was missing
        run = DryRun(static, small)
        with seeded(0):
            run.run()
    return run


@contextmanager
def _copies_to_meta_unreported() -> Iterator[None]:
    """Silence torch's warning for each tensor that a constructor loads into a module on the meta device.

    These warnings are about the check, not about the run. Other warnings pass.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="for .*: copying from a non-meta parameter")
        yield


def _small_components(static: StaticCheck) -> list[Problem]:
    """Problems of the constructors that need no network."""
    problems: list[Problem] = []
    components = static.components
    protocols = components.entries("EVALUATION").values()
    extras = [extra for protocol in protocols for extra in protocol.extras.values()]  # re-ranking, index
    independent = [
        *components.entries("AUGMENTATION").values(),
        *components.entries("VIEWS").values(),
        *components.entries("CALLBACKS").values(),
        *protocols,
        *extras,
        components.one("SIMILARITY"),
        components.one("LABELS"),
        components.one("DATA"),
    ]
    for component in independent:
        if component is not None:
            _construct(problems, component)
    if (sampler := components.one("SAMPLER")) is not None:
        samples = _imagined_samples(static.info, _joined_names(components.one("DATA")))
        _construct(problems, sampler, samples=samples, seed=0, rank=0, world=1)
    if (solver := components.one("SOLVER")) is not None:
        _construct(problems, solver, params=[nn.Parameter(torch.zeros(1))])
        if solver.extras.get("SCHEDULE") is not None:
            _construct(problems, solver.extras["SCHEDULE"])
    return problems


def _construct(problems: list[Problem], component: Component, **values: Any) -> None:
    with suppress(DataError):  # about files; the run, which reads them, reports it
        attempt(component, values, problems)


class DryRun:
    """Network and objective as far as a configuration is sound.

    Attributes:
        problems: Those of the static check and of the small components, then what constructors and bindings report.
        net: The network; None if it has problems.
        objective: The objective; None if it has problems.
    """

    def __init__(self, static: StaticCheck, small: list[Problem]) -> None:
        self.static, self.problems = static, [*static.problems, *small]
        self.net: CrossModalityNet | None = None
        self.objective: Objective | None = None

    def run(self) -> None:
        """Construct network, objective and parameter groups."""
        static = self.static
        size = None if static.sound("SIZE") else SETTINGS["SIZE"].default  # its problem is reported already
        builder = ModelBuilder(static.config, static.components, static.info, dry=True, image_size=size)
        if static.sound(*MODEL_SLOTS):
            self.net = self._network(builder)
        self.objective = self._objective(builder)
        if self.net is not None and self.objective is not None and static.sound("SOLVER"):
            self._solver(self.net, self.objective)

    def _network(self, builder: ModelBuilder) -> CrossModalityNet | None:
        join = builder.build()
        self.problems += builder.problems
        if join is None or not self.static.sound("MODEL.EMBEDDING", "MODEL.NORMALIZE"):
            return None
        try:
            return join()
        except ConfigError as error:
            self.problems += self._located(error.problems)
            return None

    def _objective(self, builder: ModelBuilder) -> Objective | None:
        """Bind the terms to what the network provides; only construct them if that is unknown."""
        static, before = self.static, len(self.problems)
        terms = build_terms(static.components, static.info, builder.widths, self.problems)
        if not terms or not builder.complete:
            return None
        try:
            objective = Objective(terms, provided=provided_to_losses(builder.provided, static.info))
        except ConfigError as error:
            self.problems += self._located(error.problems)
            return None
        return objective if static.sound("OBJECTIVE") and len(self.problems) == before else None

    def _located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems of bindings, which know their key, with the file that wrote it."""
        origins = self.static.config.origins
        return [replace(problem, place=origins.place(tuple(problem.key.split(".")))) for problem in problems]

    def _solver(self, net: CrossModalityNet, objective: Objective) -> None:
        """Check the module paths of LR_SCALE and FREEZE, and that LAYER_DECAY is possible with the backbone."""
        extras = self.static.components.required("SOLVER").extras
        checks: dict[str, Callable[[Any], object]] = {
            "LR_SCALE": lambda scales: parameter_groups(net, objective, scales),
            "FREEZE": lambda periods: check_freeze(net, objective, periods),
            "LAYER_DECAY": lambda decay: layer_scales(net, decay),
        }
        for key, check in checks.items():
            if not extras.get(key):
                continue
            try:
                check(extras[key])
            except ConfigError as error:
                place = self.static.config.origins.place(("SOLVER", key))
                self.problems += [replace(problem, place=place) for problem in error.problems]


def _joined_names(data: Component | None) -> list[str]:
    """Names of the datasets that a dataset joins; [""] for a single dataset."""
    nodes = [] if data is None else [data.arguments.get(parameter) for parameter in data.entry.slots]
    return [name for node in nodes if isinstance(node, dict) for name in node] or [""]


def _imagined_samples(info: DatasetInfo, names: Sequence[str], images: int = 4) -> list[Sample]:
    """Training samples of the right number of identities, without files, divided among datasets of these names."""
    path = Path("image")  # one for all: thousands of paths would take longer than the rest of the check
    return [
        Sample(path, identity, modality, camera=1 + 2 * modality, dataset=names[identity % len(names)])
        for identity in (range(info.num_ids) if info.num_ids else [-1] * 16)  # pseudo labels hide the identities
        for modality in Modality
        for _ in range(images)
    ]
