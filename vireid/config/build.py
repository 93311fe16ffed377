"""From a checked configuration to the objects of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from vireid.config.checked import CheckedConfig
from vireid.config.component import Component, construct
from vireid.config.labels import makes_labels
from vireid.config.load import Config
from vireid.config.wiring import ModelBuilder, build_terms, provided_to_losses
from vireid.core.errors import ConfigError, Problem, UserError
from vireid.core.interfaces import AssignsLabels, Dataset, SimilarityFunction
from vireid.core.rng import derive
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.augment.transforms import Augment, RowFilter
from vireid.data.heldout import relabelled, without_identities
from vireid.data.images.depth import DepthMapping, depth_mapping
from vireid.engine.callbacks import Callback, FreezePeriod
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.protocols.query_gallery import QueryGalleryProtocol
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet


class Build:
    """Makes the objects that a checked configuration describes. Each call returns a new object.

    Args:
        checked: The configuration.
        info: Numbers of the dataset; None: those that its class declares without files.

    Example:
        >>> from vireid.zoo.models import config_path
        >>> from vireid.config.check import load_checked
        >>> build = Build(load_checked(config_path("sysu/mmd"), {"MODEL.BACKBONE.PRETRAINED": False}))
        >>> build.epochs(), list(build.evaluators())
        (61, ['all', 'indoor'])
    """

    def __init__(self, checked: CheckedConfig, info: DatasetInfo | None = None) -> None:
        self.config: Config = checked.config
        self.info: DatasetInfo = info or checked.info
        self._checked = checked
        self._components = checked.components

    def with_info(self, info: DatasetInfo) -> Build:
        """The same for a dataset with these numbers."""
        return Build(self._checked, info)

    # -- data ----------------------------------------------------------------------------------------------------

    def dataset(self) -> Dataset:
        """The dataset of DATA. Reads nothing before it is used."""
        return construct(self._components.required("DATA"), {})

    def depth(self) -> DepthMapping | None:
        """The conversion of gray images of more than 8 bits (DATA.DEPTH); None: they are refused."""
        return depth_mapping(self._components.required("DATA").extras.get("DEPTH"))

    def label_source(self) -> AssignsLabels | None:
        """What makes the labels of each epoch; None: the labels of the dataset."""
        source = construct(self._components.required("LABELS"), {})
        return source if isinstance(source, AssignsLabels) else None

    @property
    def makes_labels(self) -> bool:
        """Whether the training has pseudo labels."""
        return makes_labels(self._components)

    def training_samples(self, samples: Sequence[Sample]) -> list[Sample]:
        """Training images as the training receives them: identities 0 .. C - 1, or none with pseudo labels."""
        return without_identities(samples) if self.makes_labels else relabelled(samples)

    def sampler(self, samples: Sequence[Sample], rank: int = 0, world: int = 1) -> Any:
        """The batch sampler over training samples, for one of `world` processes."""
        values = {"samples": samples, "seed": self.config.SEED, "rank": rank, "world": world}
        return construct(self._components.required("SAMPLER"), values)

    def augment(self) -> Augment:
        """All entries of AUGMENTATION in their order, then those of VIEWS; seeded with SEED."""
        steps, filters = {}, {}
        for name, component in self._components.entries("AUGMENTATION").items():
            steps[name] = construct(component, {})
            filters[name] = _row_filter(component)
        for number, (name, component) in enumerate(self._components.entries("VIEWS").items(), start=1):
            steps[f"views.{name}"] = construct(component, {})
            filters[f"views.{name}"] = RowFilter(_modality(component), number)
        filters = {name: rows for name, rows in filters.items() if rows != RowFilter()}
        try:
            return Augment(steps, seed=self.config.SEED, only=filters)
        except ValueError as error:
            raise ConfigError([Problem(f": {error}", key="AUGMENTATION")]) from error

    def views(self) -> list[Modality | None]:
        """For each entry of VIEWS the modality of the images that a batch repeats; None: all images."""
        return [_modality(component) for component in self._components.entries("VIEWS").values()]

    def view(self, number: int) -> tuple[Modality | None, Augment]:
        """One entry of VIEWS: the modality of its images (None: all) and its augmentation.

        Args:
            number: Number of the entry, from 1.

        Raises:
            ConfigError: If VIEWS has fewer entries.
        """
        entries = list(self._components.entries("VIEWS").items())
        if not 1 <= number <= len(entries):
            last = "VIEWS is empty" if not entries else f"VIEWS ends with view {len(entries)}"
            raise ConfigError([f"a part of the objective requests view {number} of the training images, but {last}"])
        name, component = entries[number - 1]
        augment = Augment({name: construct(component, {})}, seed=derive(self.config.SEED, number))
        return _modality(component), augment

    @property
    def reads_attributes(self) -> bool:
        """Whether the network takes attributes."""
        return self._components.one("MODEL.ATTRIBUTES") is not None

    # -- network and training ------------------------------------------------------------------------------------

    def model(self, *, weights: bool = True) -> CrossModalityNet:
        """The network on the CPU.

        Args:
            weights: Load pretrained weights; false for shapes, or if a checkpoint is loaded afterwards.

        Raises:
            ConfigError: If parts refuse these numbers or cannot be bound.
        """
        builder = ModelBuilder(self.config, self._components, self.info, dry=not weights)
        join = builder.build()
        if join is None:
            raise ConfigError(builder.problems)
        return join()

    def objective(self, model: CrossModalityNet) -> Objective:
        """The terms of OBJECTIVE, bound to what this network and batches of this dataset provide."""
        problems: list[Problem] = []
        terms = build_terms(self._components, self.info, model.dims, problems)
        if problems:
            raise ConfigError(problems)
        return Objective(terms, provided=provided_to_losses(model.provides, self.info))

    def optimizer(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over parameter groups (`engine.optim.parameter_groups`)."""
        return construct(self._components.required("SOLVER"), {"params": list(groups)})

    def lr_schedule(self) -> Callable[[int], float]:
        """Epoch -> factor of the learning rate; always 1 without SOLVER.SCHEDULE."""
        schedule = self._solver("SCHEDULE")
        return constant if schedule is None else construct(schedule, {})

    def epochs(self) -> int:
        """Number of epochs of the complete training."""
        return self._solver("EPOCHS")

    def lr_scale(self) -> Mapping[str, float]:
        """Module path -> factor of its learning rate."""
        return self._solver("LR_SCALE") or {}

    def group_options(self) -> dict[str, Any]:
        """Further arguments of `engine.optim.parameter_groups`."""
        return {"layer_decay": self._solver("LAYER_DECAY"), "decayed": self._solver("DECAYED") or "all"}

    def freeze(self) -> Mapping[str, FreezePeriod]:
        """Module path -> epochs after which it is frozen, or (first, end) of the frozen epochs."""
        return self._solver("FREEZE") or {}

    def callbacks(self) -> list[Callback]:
        """The entries of CALLBACKS in their order."""
        return [construct(component, {}) for component in self._components.entries("CALLBACKS").values()]

    def _solver(self, key: str) -> Any:
        return self._components.required("SOLVER").extras.get(key)

    # -- evaluation ----------------------------------------------------------------------------------------------

    def similarity(self) -> SimilarityFunction:
        """The function that fills query-gallery matrices."""
        return construct(self._components.required("SIMILARITY"), {})

    def evaluators(self) -> dict[str, Evaluator]:
        """One evaluator for each entry of EVALUATION, by lower-cased name."""
        similarity = self.similarity()
        entries = self._components.entries("EVALUATION").items()
        return {name: _evaluator(component, similarity) for name, component in entries}

    def heldout_evaluator(self) -> Evaluator:
        """The evaluator of held-out training identities: all infrared images against all visible images."""
        return Evaluator(QueryGalleryProtocol(direction="infrared_to_visible"), similarity=self.similarity())


def constant(epoch: int) -> float:
    """A learning rate that does not change."""
    return 1.0


def _row_filter(component: Component) -> RowFilter:
    """Rows and epochs of an entry of AUGMENTATION."""
    extras = component.extras
    return RowFilter(_modality(component), extras.get("VIEW"), extras.get("START") or 0, extras.get("STOP"))


def _modality(component: Component) -> Modality | None:
    name = component.extras.get("MODALITY")
    return None if name is None else Modality[name.upper()]


def _evaluator(component: Component, similarity: SimilarityFunction) -> Evaluator:
    reranking, index, open_set = (component.extras.get(key) for key in ("RERANKING", "INDEX", "OPEN_SET"))
    try:
        return Evaluator(
            construct(component, {}),
            similarity=similarity,
            rerank=None if reranking is None else construct(reranking, {}),
            index=None if index is None else lambda: construct(index, {}),
            open_set=None if open_set is None else construct(open_set, {}),
        )
    except ConfigError:
        raise
    except UserError as error:
        raise ConfigError([Problem(f": {error}", key=component.key)]) from error
