"""Progressive attribute embedding (PAE, PAENet): attributes and image features to gates over the feature map."""

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
    """Stages for the contract tests; every deep copy builds new ones."""

    def __deepcopy__(self, memo: dict) -> dict[str, nn.Module]:
        return _tiny_stages()


@ADAPTERS.register(stages=STAGES)
class ProgressiveAttributeEmbedding(nn.Module):
    """Progressive attribute embedding: one channel gate for each attribute; their mean re-weights the feature map.

    The tokens start as a BN neck of `pooled` and pass through `stages` in order. The last tokens are gates before
    their sigmoid, w_i = sigmoid(token_i). The attribute maps F_i = w_i X are never built, because pool(w X) = w
    pool(X) for every pool of this package and mean_i F_i = X mean_i w_i.

    Args:
        stages: Stages by name: Emb1, Emb2, Emb3 or variants. A stage that is left out passes the tokens on.
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C), feature_map (R, C, H, W), attributes (R, A) -> new map X sigmoid(X mean_i w_i), (R, C, H, W),
        and attribute_feature (R, A, C) = w_i pooled, one vector for each attribute; (R, 1, C) without Emb3.

    Raises:
        ValueError: If `stages` is empty.

    Source:
        Zheng et al., "Progressive Attribute Embedding for Accurate Cross-Modality Person Re-ID" (PAENet), ACM MM 2022,
        equations 3 to 7 and 10. `ReleasedPAE` is the released code.

    Departs:
        The paper is ambiguous. Computed here: F_i = w_i X, W2 = sigmoid(mean_i F_i), new map X W2, without the batch
        normalization and the second sigmoid of the released code. docs/methods/paenet.md has all formulas.

    Example:
        >>> import torch
        >>> from vireid.models import ChannelGateStage
        >>> stages = {"emb3": ChannelGateStage(width=8, num_attributes=2, channels=4)}
        >>> adapter = ProgressiveAttributeEmbedding(stages=stages, channels=4)
        >>> feature_map, fields = adapter(torch.randn(5, 4), torch.rand(5, 4, 6, 3), torch.rand(5, 2))
        >>> feature_map.shape, fields["attribute_feature"].shape
        (torch.Size([5, 4, 6, 3]), torch.Size([5, 2, 4]))
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_feature"})
    example: ClassVar[dict] = {"stages": _TinyStages()}

    def __init__(self, *, stages: Mapping[str, nn.Module], channels: int) -> None:
        super().__init__()
        if not stages:
            raise ValueError("stages: all of them are off; for a model without attributes set ADAPTER: {NAME: none}")
        self.dims = {"attribute_feature": channels}
        self.neck = frozen_shift_neck(channels)
        self.stages = nn.ModuleDict(stages)

    @property
    def conditions(self) -> dict[str, str]:
        """Conditions to report with every number of this model."""
        return {"attribute_embedding": "+".join(self.stages)}

    def forward(self, pooled: Tensor, feature_map: Tensor, attributes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = self.neck(pooled)[:, None]
        for stage in self.stages.values():
            tokens = stage(tokens, feature_map, attributes)
        gates = tokens.sigmoid()
        mean = gates.mean(dim=1)[:, :, None, None].to(feature_map.dtype)
        identity = (feature_map * mean).sigmoid()
        return feature_map * identity, {"attribute_feature": gates * pooled[:, None]}
