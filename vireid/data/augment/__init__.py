"""Augmentations of uint8 batches on the device."""

from vireid.data.augment.color import ChannelAdaptiveGray, ChannelExchange, LocalGrayscale, RandomGrayscale
from vireid.data.augment.transforms import HorizontalFlip, PadCrop, RandomErasing

__all__ = [
    "ChannelAdaptiveGray",
    "ChannelExchange",
    "HorizontalFlip",
    "LocalGrayscale",
    "PadCrop",
    "RandomErasing",
    "RandomGrayscale",
]
