"""Frequency augmentations against whole spectra of NumPy, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.core.rng import torch_generator
from vireid.core.types import Modality
from vireid.data.augment import ModerateRLE, RadicalRLE
from vireid.data.augment.frequency import (
    FourierAmplitudeSwap,
    FrequencyBandGray,
    LowFrequencyStatistics,
    choose_partners,
    low_statistics,
    mix_amplitude,
    mix_bands,
    set_low_statistics,
    square_window,
)
from vireid.data.augment.transforms import Augment, RowFilter
from vireid.testing import tiny_batch

SIZES = [(16, 8), (15, 9), (9, 14)]
CPU = torch.device("cpu")
STEPS = [FourierAmplitudeSwap, LowFrequencyStatistics, FrequencyBandGray, ModerateRLE, RadicalRLE]


def images(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.rand(count, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pixels_batch():
    batch = tiny_batch(size=(24, 12))
    return batch.with_images(torch.rand(batch.images.shape, generator=torch_generator(0)).mul(255).byte())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_amplitude_is_mixed_as_in_the_whole_spectrum(size, radius, share):
    ours, others = images(2, size), images(2, size, seed=1)
    result = mix_amplitude(ours, others, square_window(size, radius, CPU), share=share)
    u, v = (np.fft.fftfreq(side, 1 / side) for side in size)
    inside = (np.abs(u) <= radius)[:, None] & (np.abs(v) <= radius)
    for image, other, row in zip(ours.flatten(0, 1), others.flatten(0, 1), result.flatten(0, 1)):
        a, b = np.fft.fft2(image.numpy()), np.fft.fft2(other.numpy())
        amplitude = np.where(inside, (1 - share) * np.abs(a) + share * np.abs(b), np.abs(a))
        np.testing.assert_allclose(row.numpy(), np.fft.ifft2(amplitude * np.exp(1j * np.angle(a))).real, atol=1e-12)


def test_radius_zero_swaps_the_mean():
    ours, others = images(3, (12, 8)), images(3, (12, 8), seed=1)
    result = mix_amplitude(ours, others, square_window((12, 8), 0, CPU))
    torch.testing.assert_close(result.mean(dim=(2, 3)), others.mean(dim=(2, 3)))
    torch.testing.assert_close(
        result - result.mean(dim=(2, 3), keepdim=True), ours - ours.mean(dim=(2, 3), keepdim=True)
    )


def test_equal_weights_of_all_bands_give_the_mean_of_the_channels():
    given = images(2, (16, 8))
    result = mix_bands(given, torch.full((2, 5, 3), 1 / 3))
    torch.testing.assert_close(result, given.mean(dim=1, keepdim=True).expand_as(given), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_bands_are_those_of_the_whole_spectrum(size):
    given, weights = images(2, size), torch.rand(2, 4, 3, dtype=torch.float64, generator=torch_generator(5))
    result = mix_bands(given, weights)
    radius = np.maximum(*np.meshgrid(*(np.abs(np.fft.fftfreq(side)) for side in size), indexing="ij"))
    for image, weight, row in zip(given.numpy(), weights.numpy(), result.numpy()):
        expected = np.zeros(size, complex)
        for channel in range(3):
            spectrum = np.fft.fft2(image[channel])
            for y, x in np.ndindex(size):
                band = min(3, max(0, int(np.ceil(radius[y, x] / 0.125 - 1e-12)) - 1))
                expected[y, x] += weight[band, channel] * spectrum[y, x]
        np.testing.assert_allclose(row[1], np.fft.ifft2(expected).real, atol=1e-5)


def test_low_statistics_become_those_that_are_set():
    given, ratio = images(3, (16, 9)), 0.5
    mean, deviation = torch.rand(3, 3, dtype=torch.float64) + 3, torch.rand(3, 3, dtype=torch.float64) * 0.1
    changed = set_low_statistics(given, mean, deviation, ratio)
    for ours, expected in zip(low_statistics(changed, ratio), (mean, deviation)):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_low_statistics_equal_the_loop():
    given = images(2, (16, 8))
    mean, deviation = low_statistics(given, 0.5)
    amplitude = np.abs(np.fft.rfft2(given.numpy(), norm="ortho"))
    rows, columns = np.abs(np.fft.fftfreq(16)), np.fft.rfftfreq(8)
    for row, channel in np.ndindex(2, 3):
        values = [
            amplitude[row, channel, y, x] for y in range(16) for x in range(5) if max(rows[y], columns[x]) <= 0.25
        ]
        assert mean[row, channel].item() == pytest.approx(np.mean(values))
        assert deviation[row, channel].item() == pytest.approx(np.std(values, ddof=1))


# -- partners ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_identity", [True, False])
def test_partners_are_of_the_other_modality_and_all_of_them_occur(same_identity):
    batch, rows, found = tiny_batch(), torch.arange(24), [set() for _ in range(24)]
    for seed in range(60):
        partners = choose_partners(batch, rows, same_identity=same_identity, generator=torch_generator(seed))
        assert (batch.modality[partners] != batch.modality).all()
        assert not same_identity or torch.equal(batch.labels[partners], batch.labels)
        for row, partner in enumerate(partners.tolist()):
            found[row].add(partner)
    assert min(map(len, found)) >= (3 if same_identity else 10)


def test_a_row_without_partner_does_not_change():
    batch = tiny_batch(size=(24, 12))
    visible = batch.select(batch.modality == Modality.VISIBLE)
    values = visible.images.sigmoid()
    for step in (FourierAmplitudeSwap(probability=1, beta=0.2), LowFrequencyStatistics(probability=1)):
        out = step.enhance(values.clone(), visible, generator=torch_generator(0))
        torch.testing.assert_close(out, values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("step", [FourierAmplitudeSwap, LowFrequencyStatistics])
@pytest.mark.parametrize("target", ["visible", "infrared", "both"])
def test_only_the_target_changes(step, target):
    batch = tiny_batch(size=(24, 12))
    values = batch.images.sigmoid()
    out = step(probability=1, target=target).enhance(values.clone(), batch, generator=torch_generator(0))
    changed = (out != values).flatten(1).any(1)
    expected = {"visible": batch.modality == Modality.VISIBLE, "infrared": batch.modality == Modality.INFRARED}
    assert torch.equal(changed, expected.get(target, torch.ones_like(changed)))
    assert out.min() >= 0
    assert out.max() <= 1


def test_low_statistics_without_noise_are_those_of_the_partner():
    batch = tiny_batch(size=(24, 12), per_modality=1)
    values = 0.4 + 0.05 * batch.images.double().sigmoid()  # nothing is clamped
    out = LowFrequencyStatistics(probability=1, noise=0).enhance(values.clone(), batch, generator=torch_generator(0))
    before, after = low_statistics(values, 0.5)[0], low_statistics(out, 0.5)[0]
    for row in range(len(batch)):
        partner = int(((batch.labels == batch.labels[row]) & (batch.modality != batch.modality[row])).nonzero())
        source = partner if batch.modality[row] == Modality.VISIBLE else row
        torch.testing.assert_close(after[row], before[source], rtol=1e-3, atol=1e-4)


# -- in the chain ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [FourierAmplitudeSwap, LowFrequencyStatistics])
@pytest.mark.parametrize("rows", [RowFilter(modality=Modality.VISIBLE), RowFilter(view=1)], ids=["modality", "view"])
def test_a_step_that_reads_both_modalities_cannot_be_limited(step, rows):
    with pytest.raises(ArgumentError, match="read rows of both modalities in swap: remove MODALITY and VIEW"):
        Augment({"swap": step()}, seed=0, only={"swap": rows})


def test_epochs_may_be_limited():
    augment = Augment({"swap": FourierAmplitudeSwap(beta=0.2)}, seed=0, only={"swap": RowFilter(start=2)})
    plain = Augment({}, seed=0)(pixels_batch(), epoch=0, step=0).images
    torch.testing.assert_close(augment(pixels_batch(), epoch=1, step=0).images, plain, rtol=0, atol=1e-6)
    assert (augment(pixels_batch(), epoch=2, step=0).images - plain).abs().max() > 0.01


@pytest.mark.parametrize("step", STEPS)
def test_nothing_changes_where_no_image_is_drawn(step):
    batch = tiny_batch(size=(24, 12))
    values = batch.images.sigmoid()
    assert torch.equal(step(probability=0.0).enhance(values.clone(), batch, generator=torch_generator(0)), values)


@pytest.mark.parametrize("step", STEPS)
def test_no_step_reads_a_value_from_the_device(step):
    """The meta device has no values: reading one fails."""
    batch = pixels_batch().to("meta")
    out = Augment({"step": step()}, seed=0)(batch, epoch=0, step=0).images
    assert out.device.type == "meta"
    assert out.shape == batch.images.shape


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("step", STEPS)
def test_a_gpu_gives_the_same_images_without_a_wait(step):
    augment, batch = Augment({"step": step()}, seed=0), pixels_batch()
    expected = augment(batch, epoch=0, step=0).images
    batch = batch.to("cuda")
    augment(batch, epoch=0, step=0)  # libraries set themselves up
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = augment(batch, epoch=0, step=0).images
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(out.cpu(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: FourierAmplitudeSwap(beta=0.6), "beta"),
        (lambda: FourierAmplitudeSwap(share=1.5), "share"),
        (lambda: FourierAmplitudeSwap(target="gray"), "target"),
        (lambda: LowFrequencyStatistics(ratio=0), "ratio"),
        (lambda: LowFrequencyStatistics(noise=-1), "noise"),
        (lambda: FrequencyBandGray(bands=0), "bands"),
        (lambda: FrequencyBandGray(concentration=0), "concentration"),
    ],
)
def test_arguments_are_checked(make, parameter):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert caught.value.parameter == parameter
