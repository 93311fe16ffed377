"""An experiment: one checked config, trained and evaluated."""

from vireid.experiment.experiment import Experiment

__all__ = [
    "Experiment",
]
