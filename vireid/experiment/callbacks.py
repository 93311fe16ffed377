"""The callbacks of a run in their order."""

from __future__ import annotations

from collections.abc import Sequence

from vireid.config.build import Build
from vireid.core.types import Sample
from vireid.data.images.image_set import ImageSet
from vireid.engine.callbacks import (
    Callback,
    EvaluateBetweenEpochs,
    FreezeParts,
    SaveCheckpoints,
    TrainingLog,
    WeightAverage,
)
from vireid.engine.cluster_log import ClusterLog
from vireid.experiment.evaluate import BetweenEpochs, EvaluationRunner
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines


def run_callbacks(
    build: Build,
    folder: RunFolder,
    log: JsonLines,
    evaluate: BetweenEpochs,
    added: Sequence[Callback],
    *,
    samples: Sequence[Sample],
) -> list[Callback]:
    """All callbacks of a training in the order of `engine/callbacks.py`.

    Args:
        build: The configuration.
        folder: The run folder.
        log: Its log.
        evaluate: The evaluation between epochs.
        added: The entries of CALLBACKS.
        samples: Training images with their true identities, which the record of pseudo labels compares.
    """
    config = build.config
    every, select = config.EVALUATE_EVERY, config.SELECT != "last"
    identities, modality = [sample.identity for sample in samples], [sample.modality for sample in samples]
    return [
        *([WeightAverage(config.EMA)] if config.EMA else []),
        FreezeParts(build.freeze()),
        TrainingLog(log, every=config.LOG_EVERY),
        *([ClusterLog(log, folder.labels, identities, modality)] if build.makes_labels else []),
        *([EvaluateBetweenEpochs(evaluate, every=every, select=select)] if every else []),
        *added,
        SaveCheckpoints(every=config.CHECKPOINT_EVERY),
    ]


def between_epochs(build: Build, runner: EvaluationRunner, held: ImageSet, test: ImageSet) -> BetweenEpochs:
    """Evaluate held-out identities if there are any, otherwise the test set."""
    if held.samples:
        return BetweenEpochs(runner, held, {"heldout": build.heldout_evaluator()}, "mAP")
    return BetweenEpochs(runner, test, build.evaluators(), "rank1")
