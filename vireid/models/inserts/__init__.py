"""Layers that a config inserts behind blocks of a backbone stage."""

from vireid.models.inserts.modality import ModalityAlleviation

__all__ = [
    "ModalityAlleviation",
]
