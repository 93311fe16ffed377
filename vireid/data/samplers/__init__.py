"""Batch samplers that draw identities in both modalities."""

from vireid.data.samplers.block import IdentityBlockSampler
from vireid.data.samplers.samplers import IdentityModalitySampler, ReleasedSampler

__all__ = [
    "IdentityBlockSampler",
    "IdentityModalitySampler",
    "ReleasedSampler",
]
