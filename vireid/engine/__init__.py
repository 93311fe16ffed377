"""Training: the loop, optimizers, checkpoints, records. The only package that imports accelerate."""

from vireid.engine import (
    averaging,
    checkpoint,
    environment,
    gather,
    launch,
    measuring,
    optim,
    recording,
    run_folder,
    trainer,
)

__all__ = [
    "averaging",
    "checkpoint",
    "environment",
    "gather",
    "launch",
    "measuring",
    "optim",
    "recording",
    "run_folder",
    "trainer",
]
