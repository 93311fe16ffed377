"""Shipped configs as named models, their cost and published numbers."""

from vireid.zoo.models import config_path, create_model, list_models, misfit

__all__ = [
    "config_path",
    "create_model",
    "list_models",
    "misfit",
]
