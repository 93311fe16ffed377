"""Feature map to vector."""

from __future__ import annotations

from torch import Tensor

from vireid.layers.precision import float32_or_more, without_autocast


def power_mean(x: Tensor, p: float | Tensor = 3.0, *, eps: float = 1e-12, floor: float | None = None) -> Tensor:
    """(mean of x^p + eps)^(1/p) over the last axis, in float32 or more: in half precision x^3 overflows above 40.3.

    Shapes: (..., N), entries >= 0 -> (...). Entries below `floor` are raised to it first.
    """
    with without_autocast(x):
        x = float32_or_more(x)
        x = x if floor is None else x.clamp_min(floor)
        powers = x * x * x if not isinstance(p, Tensor) and p == 3 else x.pow(p)
        return (powers.mean(dim=-1) + eps).pow(1 / p)


def generalized_mean(
    feature_map: Tensor, p: float | Tensor = 3.0, *, eps: float = 1e-12, floor: float | None = None
) -> Tensor:
    """Pooling between average (p = 1) and maximum (p -> infinity).

    Shapes: (R, C, H, W), entries >= 0 (after a ReLU) -> (R, C) in float32 or more. A negative mean of powers gives NaN,
    which stops a run; maps of networks that do not end in a ReLU (ConvNeXt) need average or max pooling, or a `floor`.
    Source: AGW (TPAMI 2021), equation of GeM pooling; the released code of AGW, HCT, MMD (`eps`) and MCE (`floor`).
    Departs from the paper: `eps` is added to the mean, under the root, as in the released code, so an all-zero
    channel gives eps^(1/p): 1e-4 for p = 3, 0.063 for p = 10.
    """
    return power_mean(feature_map.flatten(2), p, eps=eps, floor=floor)


def average(feature_map: Tensor) -> Tensor:
    """(R, C, H, W) -> (R, C) in float32 or more."""
    return float32_or_more(feature_map).mean(dim=(2, 3))


def maximum(feature_map: Tensor) -> Tensor:
    """(R, C, H, W) -> (R, C) in float32 or more; equal maxima share the gradient."""
    return float32_or_more(feature_map).amax(dim=(2, 3))
