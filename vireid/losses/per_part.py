"""Losses over part features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.binding import requested
from vireid.core.errors import nearest
from vireid.core.registries import LOSSES
from vireid.losses.identity import IdentityCrossEntropy

PREFIX = "part_"


@LOSSES.register(loss=LOSSES)
class PerPart(nn.Module):
    """Apply another loss to each part and sum over parts.

    The inner loss receives one part at a time under the field name without "part_" (part_logits -> logits), and all
    other fields that it requests unchanged. One instance serves all parts, so that its memories would be shared.

    Args:
        over: Field with a part axis, such as "part_logits".
        loss: Inner loss.

    Shape:
        field `over` (R, P, ...) and the other fields of the inner loss -> its scalar, or its named scalars.

    Raises:
        ValueError: If `over` does not begin with "part_", or the inner loss does not read the field without the prefix.

    Source:
        HCT (TMM 2020), released code: identity loss and hetero-center triplet loss of each stripe are summed.

    Example:
        >>> loss = PerPart(over="part_logits", loss=IdentityCrossEntropy())
        >>> loss(part_logits=torch.zeros(2, 3, 4), labels=torch.tensor([0, 1]))  # 3 parts, each log 4
        tensor(4.1589)
    """

    example: ClassVar[dict] = {"over": "part_logits", "loss": IdentityCrossEntropy()}
    width_of: ClassVar[str] = "over"  # argument that names the field whose width is `feature_dim` of the inner loss

    def __init__(self, *, over: str, loss: nn.Module) -> None:
        super().__init__()
        inner = requested(loss)
        name = over.removeprefix(PREFIX)
        if name == over:
            raise ValueError(f"over {over!r} is not a field of parts; the names of such fields begin with {PREFIX!r}")
        if name not in inner:
            raise ValueError(
                f"over {over!r} provides {name!r}, which {type(loss).__name__} does not read"
                f"{nearest(name, inner)} (it reads: {', '.join(inner)})"
            )
        self.loss, self.over, self.name = loss, over, name
        self.needs = {over: True} | {other: required for other, required in inner.items() if other != name}

    def forward(self, **fields: Tensor) -> Tensor | Mapping[str, Tensor]:
        parts = fields.pop(self.over)
        results = [self.loss(**fields, **{self.name: part}) for part in parts.unbind(dim=1)]
        if isinstance(results[0], Mapping):
            return {key: torch.stack([result[key] for result in results]).sum() for key in results[0]}
        return torch.stack(results).sum()
