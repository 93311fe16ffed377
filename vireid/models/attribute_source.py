"""Attribute source: choose the attribute values that PAE embeds, in training and at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, DataError
from vireid.core.interfaces import EpochContext
from vireid.core.registries import ATTRIBUTE_SOURCES
from vireid.core.types import Sample
from vireid.layers.init import classifier
from vireid.layers.norms import frozen_shift_neck

Substitute = Literal["predicted", "prior"]


@ATTRIBUTE_SOURCES.register
class AttributeSource(nn.Module):
    """Choose between attribute labels, predictions from the image and the training mean, for each row.

    Entries without annotation are replaced by the training mean. Predictions enter without gradient; a loss on
    attribute_prior_logits (AttributeBCE with USES) trains the predictor. The buffer `prior` holds the mean of the
    known labels over the training images, updated at the start of each epoch; in an untrained network it is 1/2.

    Args:
        test: Values at test time; no default. "labels": the labels of the test identities, an oracle that every table
            marks. "predicted": the sigmoid of the predictor. "prior": the training mean, equal for all images.
        train: "labels", or "mixed": replace the labels of a row by `mixed_with` with `probability`.
        mixed_with: Replacement in "mixed" training.
        probability: Probability of the replacement.
        dropout: Probability in training that a single attribute is replaced by its training mean.
        predictor: Build the predictor; None: if `test` or `train` needs it. With True one checkpoint can be evaluated
            with each value of `test`.
        num_attributes: Number of attributes A.
        channels: Number of channels C of the feature map.

    Shape:
        pooled_image (R, C), attributes (R, A), attributes_known (R, A) -> attributes to embed (R, A) in [0, 1], and,
        with a predictor, {attribute_prior_logits: (R, A)}.

    Raises:
        ValueError: If a probability is outside [0, 1], or predictions are required without a predictor.
        DataError: If labels are required and the batch has none.

    Source:
        PAENet (ACM MM 2022) does not describe the attributes at test time. Its released code uses the labels of the
        test identities. Prediction, mean and mixing are additions of vireid.

    Example:
        >>> source = AttributeSource(test="prior", num_attributes=2, channels=4).eval()
        >>> source(torch.randn(1, 4))
        (tensor([[0.5000, 0.5000]]), {})
    """

    example: ClassVar[dict] = {"test": "predicted", "train": "mixed"}
    prior: Tensor

    def __init__(
        self,
        *,
        test: Literal["labels", "predicted", "prior"],
        train: Literal["labels", "mixed"] = "labels",
        mixed_with: Substitute = "predicted",
        probability: float = 0.5,
        dropout: float = 0.0,
        predictor: bool | None = None,
        num_attributes: int,
        channels: int,
    ) -> None:
        super().__init__()
        for name, value in {"probability": probability, "dropout": dropout}.items():
            if not 0 <= value <= 1:
                raise ArgumentError(name, f"must lie in [0, 1], got {value}")
        needed = test == "predicted" or (train == "mixed" and mixed_with == "predicted")
        if needed and predictor is False:
            raise ValueError(
                "predictor is false, but test or mixed_with is 'predicted', which needs it; leave predictor out"
            )
        self.test, self.train_with, self.mixed_with = test, train, mixed_with
        self.probability = probability if train == "mixed" else 0.0
        self.dropout = dropout
        self.register_buffer("prior", torch.full((num_attributes,), 0.5))
        self.predictor: nn.Module | None = None
        self.provides: frozenset[str] = frozenset()
        self.dims: dict[str, int] = {}
        if needed or predictor:
            self.predictor = nn.Sequential(frozen_shift_neck(channels), classifier(channels, num_attributes, bias=True))
            self.provides = frozenset({"attribute_prior_logits"})
            self.dims = {"attribute_prior_logits": num_attributes}

    @property
    def conditions(self) -> dict[str, str]:
        """Conditions to report with every number of this model."""
        return {"attribute_source": self.test}

    def start_epoch(self, context: EpochContext) -> None:
        """Compute the training mean of each attribute."""
        rows = [sample.attributes for sample in context.samples if sample.attributes is not None]
        if not rows:
            return
        values = torch.tensor(rows, dtype=torch.float64)
        known = values >= 0
        mean = (values * known).sum(0) / known.sum(0)
        self.prior.copy_(torch.where(known.any(0), mean, 0.5))

    def validate(self, samples: Sequence[Sample]) -> None:
        """Raise DataError if labels are required at test time and no test image has any."""
        if self.test == "labels" and not any(sample.attributes is not None for sample in samples):
            raise DataError(
                f"MODEL.ATTRIBUTES.TEST = 'labels', but none of the {len(samples)} test images has attributes; "
                "annotate them, or test with 'predicted' or 'prior'"
            )

    def forward(
        self, pooled_image: Tensor, attributes: Tensor | None = None, attributes_known: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = None if self.predictor is None else self.predictor(pooled_image)
        extra = {} if logits is None else {"attribute_prior_logits": logits}
        rows = pooled_image.shape[0]
        prior = self.prior.to(pooled_image.dtype).expand(rows, -1)
        choices = {"prior": prior} if logits is None else {"prior": prior, "predicted": logits.detach().sigmoid()}
        mode = "labels" if self.training else self.test
        if mode != "labels":
            return choices[mode], extra
        chosen = self._labels(attributes, attributes_known, prior)
        if self.training and self.probability:
            replaced = torch.rand(rows, 1, device=prior.device) < self.probability
            chosen = torch.where(replaced, choices[self.mixed_with], chosen)
        if self.training and self.dropout:
            chosen = torch.where(torch.rand_like(chosen) < self.dropout, prior, chosen)
        return chosen, extra

    @staticmethod
    def _labels(attributes: Tensor | None, known: Tensor | None, prior: Tensor) -> Tensor:
        if attributes is None:
            raise DataError(
                "MODEL.ATTRIBUTES (AttributeSource) needs the attribute labels of the images, which this batch does "
                "not contain; set DATA.ATTRIBUTES to the attribute table"
            )
        if attributes.shape[1] != prior.shape[1]:
            raise DataError(
                f"the batch has {attributes.shape[1]} attributes, but the model was built for {prior.shape[1]}; use "
                "the attribute table of its training"
            )
        attributes = attributes.to(prior.dtype)
        return attributes if known is None else torch.where(known, attributes, prior)

    def extra_repr(self) -> str:
        train = self.train_with if not self.probability else f"mixed with {self.mixed_with} ({self.probability:g})"
        return f"train={train}, test={self.test}, dropout={self.dropout:g}"
