"""DEEN's aggregation of stages: the map of a later stage is enriched by that of the one before it.

Both blocks leave out the softmax, so that their products may be taken in either order: channels by channels, never
positions by positions. Neither depends on which stages they join; an earlier map that is larger is read at every second
(third, ...) position where it has to fit the later one.
"""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.errors import ConfigError
from vireid.layers.precision import float32_or_more, without_autocast


class _CrossStage(nn.Module):
    """Query of the later map, key and value of the earlier one, and what goes back to the later map.

    The batch normalisation at the end starts at 0, so that the block starts as the identity.
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
    """Channels of the later map look at channels of the earlier one.

    Shapes: (R, C, H, W) of the later stage, (R, L, H', W') of the earlier one -> (R, C, H, W). With `query` C -> L,
    `key` and `value` L -> L: A = query key^T / L (L x L, summed over positions), output = later + BN(project(A value)).
    Source: DEEN (CVPR 2023), channel-level non-local block, released code: A is divided by the number of channels, not
    of positions. The release reads key and value's answer with stride 2 where the earlier map is twice as large; here
    both are read at those positions only, which gives the same.
    """

    def __init__(self, later: int, earlier: int) -> None:
        super().__init__(later, earlier, earlier)

    def forward(self, later: Tensor, earlier: Tensor) -> Tensor:
        earlier = thinned(earlier, later)
        query, key, value = self.query(later), self.key(earlier), self.value(earlier)
        with without_autocast(later):
            query, key, value = (float32_or_more(each).flatten(2) for each in (query, key, value))
            attention = query @ key.transpose(1, 2) / query.shape[1]
            answer = (attention @ value).unflatten(2, later.shape[2:])
        return later + self.norm(self.project(answer))


class PositionNonLocal(_CrossStage):
    """Positions of the later map look at positions of the earlier one; what lies half a map apart counts as one.

    Shapes: as `ChannelNonLocal`; L and both numbers of positions are even. `query`, `key`, `value` go to L/2 channels
    and are folded (see `fold`) to L channels at half the positions. With N' positions of the earlier map
    E = query^T key / (N'/2) and answer = value E^T, unfolded; output = later + BN(project(answer)).
    Errors: ConfigError at the first batch where a map has an odd number of positions.
    Source: DEEN (CVPR 2023), position-level non-local block, released code, whose `view` of (L/2, N) as (L, N/2) pairs
    the upper half of the map with the lower one. Computed as value (key^T query), of L x L entries.
    """

    def __init__(self, later: int, earlier: int) -> None:
        if earlier % 2:
            raise ValueError(f"the earlier map must have an even number of channels, got {earlier}")
        super().__init__(later, earlier, earlier // 2)

    def forward(self, later: Tensor, earlier: Tensor) -> Tensor:
        query, key, value = self.query(later), self.key(earlier), self.value(earlier)
        with without_autocast(later):
            query, key, value = (fold(float32_or_more(each)) for each in (query, key, value))
            together = key @ value.transpose(1, 2) / key.shape[2]
            folded = together.transpose(1, 2) @ query
            answer = folded.reshape(len(later), -1, *later.shape[2:])
        return later + self.norm(self.project(answer))


class StageAggregation(nn.Module):
    """`ChannelNonLocal`, then `PositionNonLocal`, between a stage and the one before it.

    Shapes: (R, C, H, W), (R, L, H', W') -> (R, C, H, W).
    Source: the multi-stage feature aggregation block of DEEN (CVPR 2023).
    """

    def __init__(self, later: int, earlier: int) -> None:
        super().__init__()
        self.channel = ChannelNonLocal(later, earlier)
        self.position = PositionNonLocal(later, earlier)

    def forward(self, later: Tensor, earlier: Tensor) -> Tensor:
        return self.position(self.channel(later, earlier), earlier)


def thinned(earlier: Tensor, later: Tensor) -> Tensor:
    """Every second (third, ...) row and column of the earlier map, so that it is as large as the later one."""
    rows, columns = (-(-have // want) for have, want in zip(earlier.shape[2:], later.shape[2:], strict=True))
    return earlier[:, :, ::rows, ::columns]


def fold(feature_map: Tensor) -> Tensor:
    """(R, C, H, W) -> (R, 2 C, H W / 2): new channel 2 k + s is old channel k at the positions of half s of the map."""
    count, channels, height, width = feature_map.shape
    if height * width % 2:
        raise ConfigError(
            [
                f"position non-local: a map of {height} x {width} has an odd number of positions; change SIZE so that "
                "height or width of every map is even (multiples of 32 will do)"
            ]
        )
    return feature_map.reshape(count, 2 * channels, height * width // 2)
