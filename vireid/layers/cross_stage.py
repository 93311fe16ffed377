"""Stage aggregation of DEEN: enrich the map of a stage with the map of the stage before it.

Both non-local blocks have no softmax, so that their products can be taken in either order: channels x channels, never
positions x positions. A larger earlier map is read at every second (third, ...) position where it must fit.
"""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.errors import ConfigError
from vireid.layers.precision import float32_or_more, without_autocast


class _CrossStage(nn.Module):
    """Query of the later map, key and value of the earlier map, and the projection back to the later map.

    The final batch normalization starts at 0, so that the block starts as the identity.
    """

    def __init__(self, later: int, earlier: int, inner: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(later, inner, 1)
        self.key = nn.Conv2d(earlier, inner, 1)
        self.value = nn.Conv2d(earlier, inner, 1)
        self.project = nn.Conv2d(inner, later, 1)
        self.norm = nn.BatchNorm2d(later)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)


class ChannelNonLocal(_CrossStage):
    """Channel-level non-local block: channels of the later map attend to channels of the earlier map.

    With `query` C -> L, `key` and `value` L -> L: A = query key^T / L (L x L, summed over positions), output = later +
    BN(project(A value)).

    Args:
        later: Number of channels C of the later stage.
        earlier: Number of channels L of the earlier stage.

    Shape:
        later (R, C, H, W), earlier (R, L, H', W') -> (R, C, H, W).

    Source:
        DEEN (CVPR 2023), channel-level non-local block, released code: A is divided by the number of channels, not of
        positions.

    Departs:
        Not in any number. The released code reads key and output with stride 2 where the earlier map is twice as
        large; key and value are read at those positions only here.
    """

    def __init__(self, later: int, earlier: int) -> None:
        super().__init__(later, earlier, earlier)

    def forward(self, later: Tensor, earlier: Tensor) -> Tensor:
        earlier = thinned(earlier, later)
        query, key, value = self.query(later), self.key(earlier), self.value(earlier)
        with without_autocast(later):
            query, key, value = (float32_or_more(each).flatten(2) for each in (query, key, value))
            attention = query @ key.transpose(1, 2) / query.shape[1]
            attended = (attention @ value).unflatten(2, later.shape[2:])
        return later + self.norm(self.project(attended))


class PositionNonLocal(_CrossStage):
    """Position-level non-local block: positions of the later map attend to positions of the earlier map.

    `query`, `key` and `value` have L/2 channels and are folded (see `fold`) to L channels at half the positions, which
    pairs positions half a map apart. With N' positions of the earlier map E = query^T key / (N'/2), attended = value
    E^T, unfolded; output = later + BN(project(attended)). Computed as value (key^T query), of L x L entries.

    Args:
        later: Number of channels C of the later stage.
        earlier: Number of channels L of the earlier stage; even.

    Shape:
        As `ChannelNonLocal`; both numbers of positions are even.

    Raises:
        ValueError: If `earlier` is odd.
        ConfigError: In the first batch, if a map has an odd number of positions.

    Source:
        DEEN (CVPR 2023), position-level non-local block, released code, whose `view` of (L/2, N) as (L, N/2) pairs the
        upper half of the map with the lower half.
    """

    def __init__(self, later: int, earlier: int) -> None:
        if earlier % 2:
            raise ValueError(f"the earlier map must have an even number of channels, got {earlier}")
        super().__init__(later, earlier, earlier // 2)

    def forward(self, later: Tensor, earlier: Tensor) -> Tensor:
        query, key, value = self.query(later), self.key(earlier), self.value(earlier)
        with without_autocast(later):
            query, key, value = (fold(float32_or_more(each)) for each in (query, key, value))
            key_value = key @ value.transpose(1, 2) / key.shape[2]
            folded = key_value.transpose(1, 2) @ query
            attended = folded.reshape(later.shape[0], -1, *later.shape[2:])
        return later + self.norm(self.project(attended))


class StageAggregation(nn.Module):
    """Multi-stage feature aggregation: `ChannelNonLocal`, then `PositionNonLocal`, between two consecutive stages.

    Shape:
        later (R, C, H, W), earlier (R, L, H', W') -> (R, C, H, W).

    Source:
        DEEN (CVPR 2023), multi-stage feature aggregation block.
    """

    def __init__(self, later: int, earlier: int) -> None:
        super().__init__()
        self.channel = ChannelNonLocal(later, earlier)
        self.position = PositionNonLocal(later, earlier)

    def forward(self, later: Tensor, earlier: Tensor) -> Tensor:
        return self.position(self.channel(later, earlier), earlier)


def thinned(earlier: Tensor, later: Tensor) -> Tensor:
    """Subsample the rows and columns of the earlier map to the size of the later map."""
    rows, columns = (-(-have // want) for have, want in zip(earlier.shape[2:], later.shape[2:], strict=True))
    return earlier[:, :, ::rows, ::columns]


def fold(feature_map: Tensor) -> Tensor:
    """Split the positions into two halves: (R, C, H, W) -> (R, 2 C, H W / 2).

    New channel 2 k + s holds old channel k at the positions of half s of the map.
    """
    count, channels, height, width = feature_map.shape
    if height * width % 2:
        raise ConfigError(
            [
                f"position non-local: a map of {height} x {width} has an odd number of positions; change SIZE so that "
                "height or width of every map is even, such as multiples of 32"
            ]
        )
    return feature_map.reshape(count, 2 * channels, height * width // 2)
