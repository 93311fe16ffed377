"""Heads that predict attributes, for losses only: an exported model does not have them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.registries import HEADS
from vireid.layers.init import classifier
from vireid.layers.norms import frozen_shift_neck
from vireid.layers.parts import PartLinear


@HEADS.register
class AttributeHead(nn.Module):
    """AAL: attributes predicted from the whole image's vector, weighted by what PAE made of each attribute.

    Shapes: attribute_feature (R, A, C), or (R, C) or (R, 1, C), which counts for every attribute; pooled_image (R, C)
    -> attribute_logits (R, A), in training only. With W = sigmoid(attribute_feature), the pooled vector times W_i goes
    through a linear layer of `width` (None: C) and a classifier, both of each attribute's own.
    Without PAE: USES {attribute_feature: pooled}.
    `neck` puts a BN neck in front of the pooled vector: without one, features that hardly differ beside their mean, as
    those of a small network that starts from nothing, teach the classifiers little.
    Source: PAENet (ACM MM 2022), equations 8 and 9. The paper's layer is C -> C, `width` null here; its classifier is
    not described, and a neck is not mentioned.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})

    def __init__(self, *, width: int | None = 512, neck: bool = False, num_attributes: int, channels: int) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise ValueError(f"width must be at least 1, or null, got {width}")
        self.num_attributes = num_attributes
        self.dims = {"attribute_logits": num_attributes}
        self.neck = frozen_shift_neck(channels) if neck else nn.Identity()
        self.layers = PartLinear(num_attributes, channels, width or channels)
        self.classifiers = PartLinear(num_attributes, width or channels, 1)
        nn.init.normal_(self.classifiers.weight, 0.0, 0.001)
        nn.init.zeros_(self.classifiers.bias)

    def forward(self, attribute_feature: Tensor, pooled_image: Tensor) -> dict[str, Tensor]:
        weights = attribute_feature.view(len(pooled_image), -1, pooled_image.shape[1]).sigmoid()
        weighted = (self.neck(pooled_image)[:, None] * weights).expand(-1, self.num_attributes, -1)
        return {"attribute_logits": self.classifiers(self.layers(weighted)).squeeze(-1)}


@HEADS.register
class AttributeClassifier(nn.Module):
    """One linear layer without bias on a vector of each image: the plain way to learn attributes.

    Shapes: features_bn (R, D) or (R, 1, D) -> attribute_logits (R, A), in training only. As it is, it makes the ATTR
    baseline: attribute labels as one more loss and nothing else.
    Source: PAENet as released, where it reads the one gate that its attributes produce
    (USES {features_bn: attribute_feature}).
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"attribute_logits"})

    def __init__(self, *, num_attributes: int, feature_dim: int) -> None:
        super().__init__()
        self.dims = {"attribute_logits": num_attributes}
        self.classifier = classifier(feature_dim, num_attributes)

    def forward(self, features_bn: Tensor) -> dict[str, Tensor]:
        return {"attribute_logits": self.classifier(features_bn.flatten(1))}
