"""PAE: attributes embedded step by step into gates over the map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from vireid.core.registries import ADAPTERS, STAGES
from vireid.layers.norms import frozen_shift_neck
from vireid.models.adapters.stages import ChannelGateStage, CrossAttentionStage, SpatialAttentionStage


def _tiny_stages() -> dict[str, nn.Module]:
    size = {"num_attributes": 8, "channels": 16}
    return {
        "emb1": CrossAttentionStage(**size),
        "emb2": SpatialAttentionStage(**size),
        "emb3": ChannelGateStage(width=8, **size),
    }


class _TinyStages:
    """Stages for the contract tests, new ones each time that they are copied."""

    def __deepcopy__(self, memo: dict) -> dict[str, nn.Module]:
        return _tiny_stages()


@ADAPTERS.register(stages=STAGES)
class ProgressiveAttributeEmbedding(nn.Module):
    """Attributes and image become one gate over channels for each attribute; their mean re-weights the map.

    Shapes: pooled (R, C), feature_map (R, C, H, W), attributes (R, A) -> the new map (R, C, H, W) and
    attribute_feature (R, A, C), one vector for each attribute ((R, 1, C) without Emb3).
    Tokens start as a BN neck of `pooled` and pass through `stages` in their order; a stage that is off passes them on.
    What comes out are gates before their sigmoid: w_i = sigmoid(token_i). F_i = w_i X is never built, because
    pool(w X) = w pool(X) for every pool of this package and mean_i F_i = X mean_i w_i:
    attribute_feature_i = w_i pooled, and the new map is X sigmoid(X mean_i w_i), the paper's W2 over the map.
    Errors: ValueError where no stage is left.
    Source: PAENet (ACM MM 2022), equations 3 to 7 and 10; `ReleasedPAE` is the public code.
    The paper is ambiguous. Computed here: F_i = w_i X, W2 = sigmoid(mean_i F_i), new map X W2, without the batch
    normalization and the second sigmoid of the code (docs/methods/paenet.md has all formulas).
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_feature"})
    example: ClassVar[dict] = {"stages": _TinyStages()}

    def __init__(self, *, stages: Mapping[str, nn.Module], channels: int) -> None:
        super().__init__()
        if not stages:
            raise ValueError("stages: all of them are off; for a model without attributes write ADAPTER: {NAME: none}")
        self.dims = {"attribute_feature": channels}
        self.neck = frozen_shift_neck(channels)
        self.stages = nn.ModuleDict(stages)

    @property
    def conditions(self) -> dict[str, str]:
        """What a number must be printed with."""
        return {"attribute_embedding": "+".join(self.stages)}

    def forward(self, pooled: Tensor, feature_map: Tensor, attributes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = self.neck(pooled)[:, None]
        for stage in self.stages.values():
            tokens = stage(tokens, feature_map, attributes)
        gates = tokens.sigmoid()
        mean = gates.mean(dim=1)[:, :, None, None].to(feature_map.dtype)
        identity = (feature_map * mean).sigmoid()
        return feature_map * identity, {"attribute_feature": gates * pooled[:, None]}
