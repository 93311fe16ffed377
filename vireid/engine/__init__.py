"""Training: the loop, optimizers, checkpoints, records. The only package that imports accelerate."""

from vireid.engine import checkpoint, environment, launch, optim, recording, run_folder, trainer

__all__ = ["checkpoint", "environment", "launch", "optim", "recording", "run_folder", "trainer"]
