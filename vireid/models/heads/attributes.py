"""Attribute heads: attribute prediction for training; exported models do not contain them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS
from vireid.layers.init import classifier
from vireid.layers.norms import frozen_shift_neck
from vireid.layers.parts import PartLinear


@HEADS.register
class AttributeHead(nn.Module):
    """Attribute head (AAL of PAENet): predict attributes from pooled features, weighted by attribute features.

    With W = sigmoid(attribute_feature), pooled_image times W_i passes a linear layer and a classifier of attribute i.
    Without PAE set USES {attribute_feature: pooled}.

    Args:
        width: Width of the linear layers; None: C.
        neck: Apply a BN neck to the pooled features first. A small network trained from scratch needs it: without it,
            its features vary little around their mean.
        num_attributes: Number of attributes A.
        channels: Number of channels C of the feature map.

    Shape:
        attribute_feature (R, A, C), or (R, C) or (R, 1, C) for all attributes; pooled_image (R, C) -> attribute_logits
        (R, A), in training only.

    Raises:
        ValueError: If `width` is below 1.

    Source:
        Zheng et al., "Progressive Attribute Embedding for Accurate Cross-Modality Person Re-ID" (PAENet), ACM MM 2022,
        equations 8 and 9.

    Departs:
        The layer of the paper is C -> C, which is `width=None`. The paper does not describe the classifier and has no
        neck.

    Example:
        >>> import torch
        >>> head = AttributeHead(width=3, num_attributes=2, channels=4)
        >>> head(torch.randn(5, 2, 4), torch.randn(5, 4))["attribute_logits"].shape
        torch.Size([5, 2])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})

    def __init__(self, *, width: int | None = 512, neck: bool = False, num_attributes: int, channels: int) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise ArgumentError("width", f"must be at least 1, or null, got {width}")
        self.num_attributes = num_attributes
        self.dims = {"attribute_logits": num_attributes}
        self.neck = frozen_shift_neck(channels) if neck else nn.Identity()
        self.layers = PartLinear(num_attributes, channels, width or channels)
        self.classifiers = PartLinear(num_attributes, width or channels, 1)
        nn.init.normal_(self.classifiers.weight, 0.0, 0.001)
        nn.init.zeros_(self.classifiers.bias)

    def forward(self, attribute_feature: Tensor, pooled_image: Tensor) -> dict[str, Tensor]:
        weights = attribute_feature.view(pooled_image.shape[0], -1, pooled_image.shape[1]).sigmoid()
        weighted = (self.neck(pooled_image)[:, None] * weights).expand(-1, self.num_attributes, -1)
        return {"attribute_logits": self.classifiers(self.layers(weighted)).squeeze(-1)}


@HEADS.register
class AttributeClassifier(nn.Module):
    """Linear attribute classifier without bias.

    With its defaults it is the ATTR baseline: attribute labels as one more loss.

    Args:
        num_attributes: Number of attributes A.
        feature_dim: Width D of the features.

    Shape:
        features_bn (R, D) or (R, 1, D) -> attribute_logits (R, A), in training only.

    Source:
        PAENet as released, where it reads the gate that its attributes produce (USES {features_bn:
        attribute_feature}).

    Example:
        >>> import torch
        >>> AttributeClassifier(num_attributes=2, feature_dim=4)(torch.randn(5, 4))["attribute_logits"].shape
        torch.Size([5, 2])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})

    def __init__(self, *, num_attributes: int, feature_dim: int) -> None:
        super().__init__()
        self.dims = {"attribute_logits": num_attributes}
        self.classifier = classifier(feature_dim, num_attributes)

    def forward(self, features_bn: Tensor) -> dict[str, Tensor]:
        return {"attribute_logits": self.classifier(features_bn.flatten(1))}
