"""Non-local block of AGW and MCLNet, in linear time."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import INSERTS
from vireid.layers.precision import float32_or_more, without_autocast


class NonLocalBlock(nn.Module):
    """Non-local block with an inner width of one, in linear time and memory.

    With theta, phi, g = three 1 x 1 convolutions to ONE channel and N positions: s = (1/N) sum_j phi_j g_j (a scalar
    for each image), y = s theta, output = x + BN(project(y)). This equals sum_j (theta_i phi_j / N) g_j, the N x N
    affinity of the released code. Scale and shift of the BN start at 0, so that the block starts as the identity and
    the convolutions have no gradient in the first step.

    Args:
        channels: Number of channels C.

    Shape:
        (R, C, H, W) -> (R, C, H, W).

    Source:
        Wang et al., "Non-local Neural Networks", CVPR 2018; AGW (TPAMI 2021) and MCLNet (ICCV 2021), released code,
        where the inner width is 1 for any reduction ratio and there is no softmax.

    Departs:
        Not in any number. The three convolutions are one with three outputs: theta, phi, g.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, 3, 1)
        self.project = nn.Conv2d(1, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(self, feature_map: Tensor) -> Tensor:
        inner = self.inner(feature_map)
        with without_autocast(feature_map):
            theta, phi, g = float32_or_more(inner).split(1, dim=1)
            context = (phi * g).mean(dim=(2, 3), keepdim=True)
            attended = context * theta
        return feature_map + self.norm(self.project(attended))


@INSERTS.register
class NonLocal:
    """Insert `NonLocalBlock` after the last `count` blocks of a stage.

    Args:
        count: Number of blocks of the stage that are followed by one.

    Raises:
        ValueError: If `count` is below 1.

    Source:
        AGW as released has 2 in stage 2 and 3 in stage 3 of ResNet-50.

    Example:
        >>> import torch
        >>> NonLocal(count=1).build(channels=4)(torch.rand(2, 4, 6, 3)).shape
        torch.Size([2, 4, 6, 3])
    """

    def __init__(self, *, count: int = 1) -> None:
        if count < 1:
            raise ArgumentError("count", f"must be at least 1, got {count}")
        self.count = count

    def build(self, channels: int) -> NonLocalBlock:
        """Build one block for maps of this number of channels."""
        return NonLocalBlock(channels)
