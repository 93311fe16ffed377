"""Augmentations of the amplitude spectrum of images, before the normalization.

The phase of an image keeps its structure; the amplitude of low frequencies holds much of what differs between the
modalities. All steps work on the half spectrum of a real FFT. `mix_amplitude`, `mix_bands`, `low_statistics` and
`set_low_statistics` are pure functions of drawn numbers and images. Nothing waits for the device.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.rng import numpy_generator_from
from vireid.core.types import Batch, Modality
from vireid.data.augment.linear_enhancement import WEIGHT_LAWS, channel_weights, checked_concentration
from vireid.data.augment.pixels import send
from vireid.data.augment.transforms import Augmentation, checked_probability

Target = Literal["visible", "infrared", "both"]
PHASE_SHIFT = 1e-6  # MFENet adds it to a spectrum (of the orthonormal transform) before it takes the phase
TARGETS = {
    "visible": (Modality.VISIBLE,),
    "infrared": (Modality.INFRARED,),
    "both": (Modality.VISIBLE, Modality.INFRARED),
}


def frequencies(size: tuple[int, int], device: torch.device) -> Tensor:
    """Largest absolute frequency along both sides, in cycles per pixel: (H, W // 2 + 1) float64, at most 0.5."""
    height, width = size
    rows = torch.fft.fftfreq(height, dtype=torch.float64, device=device).abs()
    columns = torch.fft.rfftfreq(width, dtype=torch.float64, device=device)
    return torch.maximum(rows[:, None], columns[None, :])


def square_window(size: tuple[int, int], radius: int, device: torch.device) -> Tensor:
    """Window of the frequencies of at most `radius` cycles per side: (H, W // 2 + 1) bool."""
    height, width = size
    rows = torch.arange(height, device=device)
    columns = torch.arange(width // 2 + 1, device=device)
    return (torch.minimum(rows, height - rows) <= radius)[:, None] & (columns <= radius)


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def mix_amplitude(images: Tensor, partners: Tensor, window: Tensor, *, share: float = 1.0) -> Tensor:
    """Mix the amplitude of other images into images, which keep their phase.

    Args:
        images: Images of the phase.
        partners: Images of the amplitude, row by row.
        window: Weight of each frequency, 0 .. 1.
        share: Share of the partner's amplitude where the window is 1.

    Shape:
        images (B, 3, H, W), partners (B, 3, H, W), window (H, W // 2 + 1) -> (B, 3, H, W), not clamped
    """
    spectrum, amplitude = torch.fft.rfft2(images), torch.fft.rfft2(partners).abs()
    before = spectrum.abs()
    mixed = before + share * window.to(before.dtype) * (amplitude - before)
    return torch.fft.irfft2(torch.polar(mixed, spectrum.angle()), s=_size(images))


def choose_partners(batch: Batch, rows: Tensor, *, same_identity: bool, generator: Generator) -> Tensor:
    """Draw a row of the other modality for each of some rows.

    Args:
        batch: Batch on any device.
        rows: Row numbers.
        same_identity: Whether the partner must be of the same identity.
        generator: Source of the random numbers, on the CPU.

    Shape:
        rows (N,) int64 on the CPU -> (N,) int64 on the device of the batch; the row itself where no partner exists
    """
    device = batch.modality.device
    scores = send(torch.rand(len(rows), len(batch), generator=generator), device)
    rows = send(rows, device).unsqueeze(1)
    allowed = batch.modality[rows] != batch.modality
    if same_identity:
        allowed &= batch.labels[rows] == batch.labels
    scores = scores.masked_fill(~allowed, -2.0).scatter(1, rows, -1.0)
    return scores.argmax(dim=1)


class _FromOtherModality(Augmentation):
    """Base of the steps that take something from images of the other modality in the batch."""

    whole_batch = True

    def __init__(self, probability: float, same_identity: bool, target: Target) -> None:
        if target not in TARGETS:
            raise ArgumentError("target", f"must be one of {tuple(TARGETS)}, got {target!r}")
        self.probability, self.same_identity, self.target = checked_probability(probability), same_identity, target

    def chosen_rows(self, batch: Batch, generator: Generator) -> Tensor:
        """Draw the rows to change: (N,) int64 on the CPU; none in an epoch without this step."""
        if not len(batch):
            return torch.arange(0)
        modality = batch.host_columns()[0]
        drawn = torch.rand(len(batch), generator=generator) < self.probability
        return (drawn & torch.isin(modality, torch.tensor(TARGETS[self.target]))).nonzero().squeeze(1)


@AUGMENTATIONS.register
class FourierAmplitudeSwap(_FromOtherModality):
    """Fourier domain adaptation (FDA): take the low-frequency amplitude of an image of the other modality.

    The phase stays. The window holds the frequencies u, v with |u|, |v| <= floor(beta min(H, W)); 0 changes only the
    mean of each channel. The result is clamped to [0, 1].

    Args:
        beta: Half width of the window, as a share of the shorter side. On 288 x 144: 0.01 is a window of 3 x 3.
        share: Share of the other amplitude; 1 swaps it.
        probability: Probability for each image of the target.
        same_identity: Whether the other image is of the same identity. Without such an image nothing changes.
        target: Modality of the images that are changed: `visible`, `infrared` or `both`.

    Source:
        Yang and Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020, which changes every
        source image and does not clamp.
    """

    def __init__(
        self,
        *,
        beta: float = 0.01,
        share: float = 1.0,
        probability: float = 0.5,
        same_identity: bool = True,
        target: Target = "visible",
    ) -> None:
        super().__init__(probability, same_identity, target)
        if not 0 <= beta <= 0.5:
            raise ArgumentError("beta", f"must be in 0 .. 0.5, got {beta}")
        if not 0 <= share <= 1:
            raise ArgumentError("share", f"must be in 0 .. 1, got {share}")
        self.beta, self.share = beta, share

    def radius(self, size: tuple[int, int]) -> int:
        """Half width of the window in cycles per side."""
        return int(self.beta * min(size))

    def enhance(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        chosen = self.chosen_rows(batch, generator)
        if not len(chosen):
            return images  # an FFT needs at least one image
        partners = choose_partners(batch, chosen, same_identity=self.same_identity, generator=generator)
        window = square_window(_size(images), self.radius(_size(images)), images.device)
        rows = send(chosen, images.device)
        images[rows] = mix_amplitude(images[rows], images[partners], window, share=self.share).clamp(0, 1)
        return images


def band_of(size: tuple[int, int], bands: int, device: torch.device) -> Tensor:
    """Number of the square ring of each frequency: rings of equal width up to 0.5 cycles per pixel.

    Shape:
        -> (H, W // 2 + 1) int64, 0 (lowest) .. bands - 1
    """
    bounds = 0.5 * torch.arange(1, bands, dtype=torch.float64, device=device) / bands
    return torch.bucketize(frequencies(size, device), bounds)  # a bound belongs to the lower ring


def mix_bands(images: Tensor, weights: Tensor) -> Tensor:
    """Replace all channels of each image by a sum of its channels with separate weights in each frequency band.

    Shape:
        images (B, 3, H, W) on any device, weights (B, N, 3) on the CPU -> (B, 3, H, W), an expanded view, not clamped
    """
    bands = band_of(_size(images), weights.shape[1], images.device)
    weights = send(weights.to(images.dtype), images.device).transpose(1, 2)
    spectrum = torch.fft.rfft2(images, norm="ortho")
    spectrum = torch.polar(spectrum.abs() * weights[:, :, bands], (spectrum + PHASE_SHIFT).angle())
    return torch.fft.irfft2(spectrum.sum(dim=1, keepdim=True), s=_size(images), norm="ortho").expand_as(images)


@AUGMENTATIONS.register
class FrequencyBandGray(Augmentation):
    """Replace all channels by a sum of the channels with random weights in each band of frequencies.

    Intended for visible images: `{NAME: FrequencyBandGray, MODALITY: visible}`.

    Args:
        bands: Number of square rings of equal width in the spectrum.
        concentration: Parameter a of the law Dirichlet(a, a, a) of the weights of a band.
        probability: Probability for each image.

    Source:
        "MFB weighted average" of MFENet (TCSVT 2025) as released, where it is off by default.

    Departs:
        The result is clamped to [0, 1].
    """

    def __init__(self, *, bands: int = 5, concentration: float = 1.0, probability: float = 0.5) -> None:
        if bands < 1:
            raise ArgumentError("bands", f"must be at least 1, got {bands}")
        self.bands, self.probability = bands, checked_probability(probability)
        self.concentration = checked_concentration(concentration)

    def enhance(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        drawn = torch.rand(len(images), generator=generator) < self.probability
        draws = numpy_generator_from(generator)
        numbers = WEIGHT_LAWS["dirichlet"](draws, len(images) * self.bands, self.concentration)
        weights = channel_weights(torch.from_numpy(numbers)).view(len(images), self.bands, 3)[drawn]
        if not len(weights):
            return images  # an FFT needs at least one image
        rows = send(drawn.nonzero().squeeze(1), images.device)
        images[rows] = mix_bands(images[rows], weights).clamp(0, 1)
        return images


def low_window(size: tuple[int, int], ratio: float, device: torch.device) -> Tensor:
    """Window of the frequencies of at most 0.5 ratio cycles per pixel: (H, W // 2 + 1) bool."""
    return frequencies(size, device) <= 0.5 * ratio


def low_statistics(images: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (divisor n - 1) of the amplitude of low frequencies, on the half spectrum.

    Args:
        images: Images.
        ratio: Share of the frequencies along each side that are low.

    Shape:
        images (B, 3, H, W) -> (B, 3), (B, 3)
    """
    return _moments(torch.fft.rfft2(images, norm="ortho").abs(), low_window(_size(images), ratio, images.device))


def _moments(amplitude: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    inside = window.to(amplitude.dtype)
    count = inside.sum()
    mean = (amplitude * inside).sum(dim=(2, 3)) / count
    squares = ((amplitude - mean[:, :, None, None]).square() * inside).sum(dim=(2, 3))
    return mean, (squares / (count - 1).clamp_min(1)).sqrt()


def set_low_statistics(images: Tensor, mean: Tensor, deviation: Tensor, ratio: float) -> Tensor:
    """Give the amplitude of low frequencies another mean and standard deviation; the phase stays.

    Shape:
        images (B, 3, H, W), mean (B, 3), deviation (B, 3) -> (B, 3, H, W), not clamped
    """
    spectrum = torch.fft.rfft2(images, norm="ortho")
    amplitude, window = spectrum.abs(), low_window(_size(images), ratio, images.device)
    before, spread = (each[:, :, None, None] for each in _moments(amplitude, window))
    changed = (amplitude - before) / (spread + 1e-6) * deviation[:, :, None, None] + mean[:, :, None, None]
    changed = torch.polar(torch.where(window, changed, amplitude), spectrum.angle())
    return torch.fft.irfft2(changed, s=_size(images), norm="ortho")


@AUGMENTATIONS.register
class LowFrequencyStatistics(_FromOtherModality):
    """Take mean and standard deviation of the low-frequency amplitude from an image of the other modality, with noise.

    Both numbers are shifted by `noise` times a normal number (one for each image and statistic) times their standard
    deviation over the images of the other modality in the batch. The result is clamped to [0, 1].

    Args:
        ratio: Share of the frequencies along each side that are low.
        noise: Scale of the noise; 0: none.
        probability: Probability for each image of the target.
        same_identity: Whether the other image is of the same identity. Without such an image nothing changes.
        target: Modality of the images that are changed: `visible`, `infrared` or `both`.

    Source:
        "Low statistics" of MFENet (TCSVT 2025) as released, where nothing calls it.
    """

    def __init__(
        self,
        *,
        ratio: float = 0.5,
        noise: float = 0.5,
        probability: float = 0.5,
        same_identity: bool = True,
        target: Target = "visible",
    ) -> None:
        super().__init__(probability, same_identity, target)
        if not 0 < ratio <= 1:
            raise ArgumentError("ratio", f"must be above 0 and at most 1, got {ratio}")
        if noise < 0:
            raise ArgumentError("noise", f"must be at least 0, got {noise}")
        self.ratio, self.noise = ratio, noise

    def enhance(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        chosen = self.chosen_rows(batch, generator)
        if not len(chosen):
            return images  # an FFT needs at least one image
        partners = choose_partners(batch, chosen, same_identity=self.same_identity, generator=generator)
        noise = send(torch.randn(2, len(chosen), 1, generator=generator) * self.noise, images.device)
        rows = send(chosen, images.device)
        mean, deviation = (
            statistic[partners] + shift * _deviation_of_others(statistic, batch.modality, rows)
            for statistic, shift in zip(low_statistics(images, self.ratio), noise)
        )
        changed = set_low_statistics(images[rows], mean, deviation, self.ratio).clamp(0, 1)
        alone = (partners == rows).view(-1, 1, 1, 1)
        images[rows] = torch.where(alone, images[rows], changed)
        return images


def _deviation_of_others(statistic: Tensor, modality: Tensor, rows: Tensor) -> Tensor:
    """Standard deviation (n - 1) of a statistic over the images of the other modality of each row.

    Shape:
        statistic (B, 3), modality (B,), rows (N,) -> (N, 3); 0 where the batch has fewer than two such images
    """
    others = (modality[rows].unsqueeze(1) != modality).to(statistic.dtype)
    count = others.sum(dim=1, keepdim=True)
    mean = others @ statistic / count.clamp_min(1)
    squares = others.unsqueeze(2) * (statistic - mean.unsqueeze(1)).square()
    return (squares.sum(dim=1) / (count - 1).clamp_min(1)).sqrt()
