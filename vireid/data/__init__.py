"""Datasets, samplers, augmentation, decoded images and batches."""

from vireid.data import attributes
from vireid.data.augment import (
    ChannelAdaptiveGray,
    ChannelExchange,
    ColorJitter,
    HorizontalFlip,
    LocalGrayscale,
    PadCrop,
    RandomErasing,
    RandomGrayscale,
)
from vireid.data.datasets import LLCM, CsvDataset, JoinedDatasets, RegDB, SysuArrays, SysuMM01
from vireid.data.images import IMAGE_SUFFIXES, ImageSet, find_images, open_images, read_pixels
from vireid.data.samplers import (
    ClusterSampler,
    DatasetShareSampler,
    DistinctImageSampler,
    IdentityBlockSampler,
    IdentityModalitySampler,
    IdentitySampler,
    ReleasedSampler,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "LLCM",
    "ChannelAdaptiveGray",
    "ChannelExchange",
    "ClusterSampler",
    "ColorJitter",
    "CsvDataset",
    "DatasetShareSampler",
    "DistinctImageSampler",
    "HorizontalFlip",
    "IdentityBlockSampler",
    "IdentityModalitySampler",
    "IdentitySampler",
    "ImageSet",
    "JoinedDatasets",
    "LocalGrayscale",
    "PadCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RegDB",
    "ReleasedSampler",
    "SysuArrays",
    "SysuMM01",
    "attributes",
    "find_images",
    "open_images",
    "read_pixels",
]
