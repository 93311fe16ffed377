"""Losses over parts of a person."""

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
    """Another loss on each part, summed (not averaged) over parts.

    Shapes: field `over` (R, P, ...) and what else the inner loss asks for -> its scalar, or its named scalars.
    `over` is a field of parts, such as part_logits; the inner loss receives part by part under the name without "part_"
    (logits), and everything else that it asks for as it is. One instance serves all parts: memories would be shared.
    Errors: ValueError where `over` does not begin with "part_" or the inner loss has no such parameter.
    Source: HCT (TMM 2020), released code: identity loss and hetero-centre triplet of each stripe are added up.
    """

    example: ClassVar[dict] = {"over": "part_logits", "loss": IdentityCrossEntropy()}
    width_of: ClassVar[str] = "over"  # the argument that names the field whose width the inner loss has to know

    def __init__(self, *, over: str, loss: nn.Module) -> None:
        super().__init__()
        inner = requested(loss)
        name = over.removeprefix(PREFIX)
        if name == over:
            raise ValueError(f"over {over!r} is no field of parts: its name would begin with {PREFIX!r}")
        if name not in inner:
            raise ValueError(
                f"over {over!r} would give {type(loss).__name__} {name!r}, which it does not ask for"
                f"{nearest(name, inner)} (it asks for: {', '.join(inner)})"
            )
        self.loss, self.over, self.name = loss, over, name
        self.needs = {over: True} | {other: must for other, must in inner.items() if other != name}

    def forward(self, **fields: Tensor) -> Tensor | Mapping[str, Tensor]:
        parts = fields.pop(self.over)
        results = [self.loss(**fields, **{self.name: part}) for part in parts.unbind(dim=1)]
        if isinstance(results[0], Mapping):
            return {key: torch.stack([result[key] for result in results]).sum() for key in results[0]}
        return torch.stack(results).sum()
