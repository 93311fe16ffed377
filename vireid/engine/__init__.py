"""Training: the loop, optimizers, checkpoints, records. The only package that imports accelerate."""

from vireid.engine import checkpoint, environment, files, optim, recording, trainer

__all__ = ["checkpoint", "environment", "files", "optim", "recording", "trainer"]
