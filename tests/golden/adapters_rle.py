"""Golden adapters of RLE and of the frequency augmentations: drawn numbers and images in, images out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from adapters_losses import same, tensor
from runner import Case, adapter
from torch import Tensor

from vireid.data.augment.frequency import (
    low_statistics,
    mix_amplitude,
    mix_bands,
    set_low_statistics,
    square_window,
)
from vireid.data.augment.linear_enhancement import channel_weights, mix_to_gray, scale_rectangles
from vireid.data.augment.pixels import sides

Tolerances = Mapping[torch.dtype, Mapping[str, float]]
RLE: Tolerances = {torch.float64: {"rtol": 1e-12, "atol": 1e-15}, torch.float32: {"rtol": 0, "atol": 1e-6}}
FREQUENCY: Tolerances = {torch.float64: {"rtol": 1e-9, "atol": 1e-10}, torch.float32: {"rtol": 0, "atol": 1e-5}}

# -- random linear enhancement -----------------------------------------------------------------------------------------


@adapter("mcja", "rle_moderate")
def rle_moderate(case: Case) -> None:
    weights = channel_weights(tensor(case.arrays["draws"]))
    same(weights, case.arrays["weights"], RLE[torch.float64], "weights")
    for dtype, tolerance in RLE.items():
        same(mix_to_gray(tensor(case.arrays["images"], dtype), weights), case.arrays["out"], tolerance, f"{dtype}")


@adapter("mcja", "rle_radical")
def rle_radical(case: Case) -> None:
    arrays = case.arrays
    boxes, size = tensor(arrays["boxes"]), tuple(arrays["images"].shape[-2:])
    area, aspect = tensor(arrays["area_aspect"]).unbind(dim=2)
    tall, wide, fits = sides(area, aspect, size)
    assert fits.all()
    assert torch.equal(tall, boxes[..., 1] - boxes[..., 0])
    assert torch.equal(wide, boxes[..., 3] - boxes[..., 2])
    for dtype, tolerance in RLE.items():
        images, peaks = tensor(arrays["images"], dtype), tensor(arrays["alphas"])
        ours, used = scale_rectangles(images, boxes, peaks, floor=case.params["min_out"])
        assert used.tolist() == arrays["used"].tolist()
        same(ours, arrays["out"], tolerance, f"{dtype}")


# -- frequency ---------------------------------------------------------------------------------------------------------


@adapter("mcja", "freq_amplitude_swap")
def freq_amplitude_swap(case: Case) -> None:
    size = tuple(case.arrays["a"].shape[-2:])
    window = square_window(size, int(case.params["beta"] * min(size)), torch.device("cpu"))
    for dtype, tolerance in FREQUENCY.items():
        a, b = (tensor(case.arrays[name], dtype) for name in ("a", "b"))
        same(mix_amplitude(a, b, window), case.arrays["out_a"], tolerance, f"phase of a, {dtype}")
        same(mix_amplitude(b, a, window), case.arrays["out_b"], tolerance, f"phase of b, {dtype}")


def corner_window(size: tuple[int, int], radius: int) -> Tensor:
    """The four corner blocks of a whole spectrum, as a window of the half spectrum with the same real part.

    The real part of an inverse transform is that of the mean of the weights of each frequency and its negative.
    """
    rows, columns = (torch.arange(side) for side in size)
    inside = [(each < radius) | (each >= side - radius) for each, side in zip((rows, columns), size)]
    whole = (inside[0][:, None] & inside[1]).double()
    negative = whole[-rows % size[0]][:, -columns % size[1]]
    return ((whole + negative) / 2)[:, : size[1] // 2 + 1]


@adapter("mcja", "freq_amplitude_mix_corner")
def freq_amplitude_mix_corner(case: Case) -> None:
    size = tuple(case.arrays["a"].shape[-2:])
    window = corner_window(size, int(case.params["beta"] * min(size)))
    a, b = (tensor(case.arrays[name], torch.float64) for name in ("a", "b"))
    ours = mix_amplitude(a, b, window, share=case.params["lam"])
    same(ours, case.arrays["out"], FREQUENCY[torch.float64], "images")


@adapter("mcja", "freq_band_gray")
def freq_band_gray(case: Case) -> None:
    images, weights = tensor(case.arrays["images"], torch.float64), tensor(case.arrays["weights"])
    assert weights.shape[1] == case.params["N"]
    same(mix_bands(images, weights), case.arrays["out"], {"rtol": 1e-5, "atol": 1e-6}, "images")


@adapter("mcja", "freq_low_statistics")
def freq_low_statistics(case: Case) -> None:
    """Rows: visible images, then their infrared partners in the same order."""
    images, ratio = tensor(case.arrays["images"], torch.float64), case.params["ratio"]
    visible, infrared = images.chunk(2)
    noise = [tensor(case.arrays[name])[:, None] * case.params["alpha"] for name in ("noise_mean", "noise_std")]
    new = [value + shift * value.std(dim=0) for value, shift in zip(low_statistics(infrared, ratio), noise)]
    ours = set_low_statistics(visible, *new, ratio).clamp(0, 1)
    same(ours, case.arrays["out_visible"], {"rtol": 1e-6, "atol": 1e-7}, "images")
