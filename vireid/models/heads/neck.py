"""A BN neck and nothing behind it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.registries import HEADS


@HEADS.register
class NeckHead(nn.Module):
    """Pooled vector -> BN neck, for methods that train without an identity classifier.

    Shapes: pooled (R, C) -> features (R, C), the pooled vector itself; features_bn (R, C).
    The neck's scale starts at 1; its shift is 0 and never trained.
    Source: MCE (AAAI 2023) as released; with its option --nce use `IdentityHead` (whose scale starts around 1).
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "features_bn"})

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.dims = {"features": channels, "features_bn": channels}
        self.neck = nn.BatchNorm1d(channels)
        self.neck.bias.requires_grad_(False)

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        return {"features": pooled, "features_bn": self.neck(pooled)}
