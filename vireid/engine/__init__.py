"""Training loop, optimizers, learning-rate schedules, checkpoints and processes."""

from vireid.engine.checkpoint import CheckpointFolder
from vireid.engine.environment import Environment
from vireid.engine.optim import SGD, Adam, AdamW, WarmupCosine, WarmupSteps
from vireid.engine.trainer import Trainer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CheckpointFolder",
    "Environment",
    "Trainer",
    "WarmupCosine",
    "WarmupSteps",
]
