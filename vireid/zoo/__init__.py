"""Shipped configs as named models, their cost and published numbers."""

from vireid.zoo.configs import config_path
from vireid.zoo.models import create_model, list_models, misfit
from vireid.zoo.weights import ModelWeights

__all__ = [
    "ModelWeights",
    "config_path",
    "create_model",
    "list_models",
    "misfit",
]
