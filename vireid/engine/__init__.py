"""Training loop, optimizers, learning-rate schedules, checkpoints and processes."""

from vireid.engine.callbacks import (
    Callback,
    EvaluateBetweenEpochs,
    FreezeParts,
    SaveCheckpoints,
    TrainingLog,
    WeightAverage,
)
from vireid.engine.checkpoint import CheckpointFolder
from vireid.engine.distributed import Environment
from vireid.engine.loggers import MLflowLogger, WandbLogger
from vireid.engine.optim import SGD, Adam, AdamW, WarmupCosine, WarmupSteps
from vireid.engine.trainer import Trainer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Callback",
    "CheckpointFolder",
    "Environment",
    "EvaluateBetweenEpochs",
    "FreezeParts",
    "MLflowLogger",
    "SaveCheckpoints",
    "Trainer",
    "TrainingLog",
    "WandbLogger",
    "WarmupCosine",
    "WarmupSteps",
    "WeightAverage",
]
