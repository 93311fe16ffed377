"""Augmentations of uint8 batches on the device."""

from vireid.data.augment.color import ChannelAdaptiveGray, ChannelCopy, ChannelExchange, LocalGrayscale, RandomGrayscale
from vireid.data.augment.frequency import FourierAmplitudeSwap, FrequencyBandGray, LowFrequencyStatistics
from vireid.data.augment.jitter import ColorJitter
from vireid.data.augment.linear_enhancement import ModerateRLE, RadicalRLE
from vireid.data.augment.one_of import OneOf
from vireid.data.augment.spectrum import ChannelCutMix, HueJitter, SpectrumJitter, WeightedGrayscale
from vireid.data.augment.thermal import JitterOrBlur
from vireid.data.augment.transforms import HorizontalFlip, PadCrop, RandomErasing

__all__ = [
    "ChannelAdaptiveGray",
    "ChannelCopy",
    "ChannelCutMix",
    "ChannelExchange",
    "ColorJitter",
    "FourierAmplitudeSwap",
    "FrequencyBandGray",
    "HorizontalFlip",
    "HueJitter",
    "JitterOrBlur",
    "LocalGrayscale",
    "LowFrequencyStatistics",
    "ModerateRLE",
    "OneOf",
    "PadCrop",
    "RadicalRLE",
    "RandomErasing",
    "RandomGrayscale",
    "SpectrumJitter",
    "WeightedGrayscale",
]
