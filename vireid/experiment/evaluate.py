"""Evaluation of a network: embeddings of images, scores between epochs, and the results of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from vireid.config.build import Build
from vireid.core.types import Batch, EmbeddingTable, Modality, Progress
from vireid.data.augment.color import copy_channels
from vireid.data.augment.pixels import normalize
from vireid.data.images.image_set import ImageSet
from vireid.data.loading import BatchLoader, sequential_batches
from vireid.engine.callbacks import Scores
from vireid.engine.distributed import Environment
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.extract import extract_features
from vireid.evaluation.flips import with_mirror
from vireid.evaluation.report import Report, format_table
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines
from vireid.runs.metrics import Metrics
from vireid.runs.results import save_features, save_queries, save_rankings


def without_augmentation(batch: Batch) -> Batch:
    """Convert a batch of the loader to the input of the network in evaluation: normalized images."""
    return batch.with_images(normalize(batch.images))


def channel_alone(batch: Batch, *, channel: int) -> Batch:
    """As `without_augmentation`, with one channel of the images copied to all channels before the normalization."""
    choice = torch.full((len(batch),), channel)
    return without_augmentation(batch.with_images(copy_channels(batch.images, choice)))


def uses_channels(evaluators: Mapping[str, Evaluator]) -> bool:
    """Whether an evaluator compares embeddings of single channels."""
    return any(evaluator.channel_views for evaluator in evaluators.values())


@dataclass(frozen=True, kw_only=True)
class EvaluationRunner:
    """Embeds images with all processes and evaluates them; the main process writes and prints the results.

    Args:
        environment: Device, precision and processes.
        folder: Run folder of the results.
        log: Log of the run.
        batch: Images in a batch.
    """

    environment: Environment
    folder: RunFolder
    log: JsonLines
    batch: int = 64

    def embed(
        self,
        model: nn.Module,
        images: ImageSet,
        conditions: Mapping[str, str] | None = None,
        *,
        flips: str = "none",
        rows: Sequence[int] | None = None,
        prepare: Callable[[Batch], Batch] = without_augmentation,
    ) -> EmbeddingTable:
        """Embed images, each once. The processes share the batches; all get the complete table.

        Args:
            model: The network; it is put into evaluation mode.
            images: The images.
            conditions: Conditions of the table.
            flips: FLIP_TEST.
            rows: Embed only these images, in ascending order.
            prepare: Converts a batch of the loader to the input of the network.
        """
        model.eval()
        environment, embed = self.environment, model.embed
        rows = range(len(images.samples)) if rows is None else rows
        batches = [[rows[i] for i in batch] for batch in sequential_batches(len(rows), self.batch)]
        batches = batches[environment.rank :: environment.world] or batches[:1]  # every process needs a batch
        table = extract_features(
            embed if flips == "none" else with_mirror(embed),  # type: ignore[arg-type]
            BatchLoader(images.samples, images.images, batches, pin=environment.device.type == "cuda"),
            device=environment.device,
            autocast=environment.autocast,
            prepare=prepare,
            gather=environment.gather,
            conditions=conditions,
            unit=model.normalize and flips != "sum",  # type: ignore[arg-type]
        )
        samples = [images.samples[row] for row in rows]
        return replace(table, samples=samples, camera_names=images.camera_names)

    def embed_channels(
        self, model: nn.Module, images: ImageSet, table: EmbeddingTable, *, flips: str = "none"
    ) -> EmbeddingTable:
        """Add the embeddings of single channels of visible images to the table of all images.

        Args:
            model: The network.
            images: The images.
            table: Their embeddings.
            flips: FLIP_TEST.
        """
        visible = np.flatnonzero(table.modality == Modality.VISIBLE)
        views = np.zeros((3, *table.embeddings.shape), table.embeddings.dtype)
        if len(visible):
            for channel in range(3):
                prepare = partial(channel_alone, channel=channel)
                view = self.embed(model, images, flips=flips, rows=visible.tolist(), prepare=prepare)
                views[channel, visible] = view.embeddings
        return replace(table, channel_views=views)

    def write_results(
        self,
        table: EmbeddingTable,
        evaluators: Mapping[str, Evaluator],
        *,
        heldout: EmbeddingTable | None = None,
        features: bool = True,
        inputs: Mapping[str, Any] | None = None,
    ) -> dict[str, Report]:
        """Evaluate every protocol, write the results of the run and print them.

        Args:
            table: Embeddings of the test images.
            evaluators: Evaluators by protocol name.
            heldout: Embeddings of held-out identities, for open-set thresholds.
            features: Also write the embeddings.
            inputs: `RunInputs.to_json` of this evaluation, with that of the training under "trained_on". The results
                store them, so that a comparison detects results of other inputs.
        """
        # the listing without attributes: methods with and without attributes are compared
        listing = str((inputs or {}).get("test_images", ""))

        def work() -> dict[str, Report]:
            reports = {name: _report(evaluator, table, heldout) for name, evaluator in evaluators.items()}
            assert table.samples is not None
            save_rankings(self.folder.rankings, evaluators, table, table.samples)
            save_queries(self.folder.queries, reports, table, listing=listing)
            if features:
                save_features(self.folder.features, table)
            elif self.folder.features.exists():
                self.folder.features.unlink()  # of an earlier evaluation, perhaps of other images
            Metrics(reports, self.environment.describe(), inputs).write(self.folder.metrics)
            means: dict[str, Any] = {name: report.means for name, report in reports.items()}
            self.log("result", checkpoint=table.conditions["checkpoint"], **means)
            print(format_table(reports))
            print(f"results: {self.folder.metrics}")
            return reports

        return self.environment.from_main(work)


def _report(evaluator: Evaluator, table: EmbeddingTable, heldout: EmbeddingTable | None) -> Report:
    report = evaluator(table)
    if evaluator.open_set is None:
        return report
    return replace(report, open_set=evaluator.open_set_report(table, heldout))


@dataclass(frozen=True)
class BetweenEpochs:
    """Evaluation of the network in training, for `EvaluateBetweenEpochs`; it writes no results.

    Args:
        runner: Embeds the images.
        images: Test images, or images of held-out identities.
        evaluators: Evaluators by protocol name.
        metric: Metric of the first protocol that selects a checkpoint.
    """

    runner: EvaluationRunner
    images: ImageSet
    evaluators: Mapping[str, Evaluator]
    metric: str

    def __call__(self, model: nn.Module, progress: Progress) -> Scores:
        table = self.runner.embed(model, self.images)
        if uses_channels(self.evaluators):
            table = self.runner.embed_channels(model, self.images, table)

        def work() -> Scores:
            protocols = {name: evaluator(table).means for name, evaluator in self.evaluators.items()}
            return Scores(next(iter(protocols.values()))[self.metric], protocols)

        return self.runner.environment.from_main(work)


@dataclass(frozen=True)
class TrainingEmbeddings:
    """Embeddings of the training set for parts that request them at the start of an epoch (memories).

    Args:
        runner: Embeds the images.
        model: The network in training.
        images: Training images.
        build: Builds the augmentation of a view.
    """

    runner: EvaluationRunner
    model: nn.Module
    images: ImageSet
    build: Build

    def __call__(self, view: int, epoch: int, flips: Literal["none", "mean"] = "none") -> EmbeddingTable:
        """Embed all training images without augmentation (view 0), or in a view those images that have it.

        With flips "mean" an embedding is the mean of those of the image and of its mirror image, not L2-normalized.
        The augmentation of a view depends on (SEED, epoch, first image of the batch), not on the number of processes.
        """
        added = "sum" if flips == "mean" else "none"
        if not view:
            return _mean_of_two(self.runner.embed(self.model, self.images, flips=added), flips)
        modality, augment = self.build.view(view)
        rows = [row for row, sample in enumerate(self.images.samples) if modality in (None, sample.modality)]

        def prepare(batch: Batch) -> Batch:
            return augment(batch, epoch=epoch, step=int(batch.index[0]))

        table = self.runner.embed(self.model, self.images, rows=rows, prepare=prepare, flips=added)
        return _mean_of_two(table, flips)


def _mean_of_two(table: EmbeddingTable, flips: str) -> EmbeddingTable:
    """The table with half of the sums where it has the sums of two embeddings."""
    if flips != "mean":
        return table
    conditions = {**table.conditions, "flipped_images": "mean of two embeddings, not L2-normalized"}
    return replace(table, embeddings=table.embeddings * np.float32(0.5), conditions=conditions)
