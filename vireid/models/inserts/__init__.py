"""Inserts: modules that a config places after blocks of a backbone stage."""

from vireid.models.inserts.distribution import ModalityDistribution
from vireid.models.inserts.modality import ModalityAlleviation

__all__ = [
    "ModalityAlleviation",
    "ModalityDistribution",
]
