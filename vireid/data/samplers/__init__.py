"""Batch samplers that draw identities in both modalities."""

from vireid.data.samplers.block import IdentityBlockSampler
from vireid.data.samplers.clusters import ClusterSampler
from vireid.data.samplers.distinct import DistinctImageSampler
from vireid.data.samplers.identity import IdentitySampler
from vireid.data.samplers.samplers import IdentityModalitySampler, ReleasedSampler
from vireid.data.samplers.shares import DatasetShareSampler

__all__ = [
    "ClusterSampler",
    "DatasetShareSampler",
    "DistinctImageSampler",
    "IdentityBlockSampler",
    "IdentityModalitySampler",
    "IdentitySampler",
    "ReleasedSampler",
]
