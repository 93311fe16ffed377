"""Pooling functions: feature map to one vector for each row."""

from __future__ import annotations

from torch import Tensor

from vireid.layers.precision import float32_or_more, without_autocast


def power_mean(x: Tensor, p: float | Tensor = 3.0, *, eps: float = 1e-12, floor: float | None = None) -> Tensor:
    """Power mean over the last axis: (mean of x^p + eps)^(1/p).

    In float32 or more, because x^3 overflows above 40.3 in float16.

    Args:
        x: (..., N), entries >= 0.
        p: Exponent.
        eps: Added to the mean before the root.
        floor: Lower bound of the entries; None: no bound.

    Returns:
        (...) means.
    """
    with without_autocast(x):
        x = float32_or_more(x)
        x = x if floor is None else x.clamp_min(floor)
        powers = x * x * x if not isinstance(p, Tensor) and p == 3 else x.pow(p)
        return (powers.mean(dim=-1) + eps).pow(1 / p)


def generalized_mean(
    feature_map: Tensor, p: float | Tensor = 3.0, *, eps: float = 1e-12, floor: float | None = None
) -> Tensor:
    """Generalized-mean (GeM) pooling: between average (p = 1) and maximum (p -> infinity).

    A negative mean of powers gives NaN, which stops a run. Maps of networks without a final ReLU (ConvNeXt) need
    average or max pooling, or a `floor`.

    Args:
        feature_map: (R, C, H, W), entries >= 0.
        p: Exponent.
        eps: Added to the mean before the root.
        floor: Lower bound of the entries; None: no bound.

    Returns:
        (R, C), in float32 or more.

    Source:
        AGW (TPAMI 2021), GeM pooling; released code of AGW, HCT and MMD-ReID (`eps`) and of MCE (`floor`).

    Departs:
        `eps` is not in the paper. As in the released code, a channel of zeros gives eps^(1/p): 1e-4 for p = 3, 0.063
        for p = 10.
    """
    return power_mean(feature_map.flatten(2), p, eps=eps, floor=floor)


def average(feature_map: Tensor) -> Tensor:
    """Global average pooling, (R, C, H, W) -> (R, C) in float32 or more."""
    return float32_or_more(feature_map).mean(dim=(2, 3))


def maximum(feature_map: Tensor) -> Tensor:
    """Global max pooling, (R, C, H, W) -> (R, C) in float32 or more; equal maxima share the gradient."""
    return float32_or_more(feature_map).amax(dim=(2, 3))
