"""The non-local block of AGW and MCLNet in the form that its inner width of one allows."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.registries import INSERTS
from vireid.layers.precision import float32_or_more, without_autocast


class NonLocalBlock(nn.Module):
    """Every position receives, in proportion to its own query, one number that all positions agreed on.

    Shapes: (R, C, H, W) -> (R, C, H, W). With theta, phi, g = three 1 x 1 convolutions to ONE channel and N positions:
    s = (1/N) sum_j phi_j g_j (a scalar for each image), y = s theta, output = x + BN(project(y)).
    This equals sum_j (theta_i phi_j / N) g_j, the N x N affinity of the release, in O(N) time and memory. The scale and
    the shift of the BN start at 0, so that the block starts as the identity; the convolutions then have no gradient in
    the first step.
    Source: AGW (TPAMI 2021) and MCLNet (ICCV 2021), released code, where the inner width is 1 whatever the reduction
    ratio says, and there is no softmax. Departs: the three convolutions are one with three outputs here, theta, phi and
    g in that order.
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
            agreed = (phi * g).mean(dim=(2, 3), keepdim=True)
            answer = agreed * theta
        return feature_map + self.norm(self.project(answer))


@INSERTS.register
class NonLocal:
    """Non-local blocks behind the last `count` blocks of a stage; see `NonLocalBlock`.

    Source: AGW as released has 2 in stage 2 and 3 in stage 3 of ResNet-50.
    """

    def __init__(self, *, count: int = 1) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count

    def build(self, channels: int) -> NonLocalBlock:
        """One block for maps of that many channels."""
        return NonLocalBlock(channels)
