"""Modules that a config puts behind blocks of a backbone's stages."""

from vireid.models.inserts import modality

__all__ = ["modality"]
