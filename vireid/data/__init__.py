"""Folders on disk to batches on the device. `synthetic` is for its tool and is not imported here."""

from __future__ import annotations

from vireid.data import (
    attributes,
    block_sampler,
    cache,
    channel_augment,
    check,
    datasets,
    faults,
    heldout,
    image_set,
    loading,
    reading,
    rows,
    samplers,
    survey,
    transforms,
)

__all__ = [
    "attributes",
    "block_sampler",
    "cache",
    "channel_augment",
    "check",
    "datasets",
    "faults",
    "heldout",
    "image_set",
    "loading",
    "reading",
    "rows",
    "samplers",
    "survey",
    "transforms",
]
