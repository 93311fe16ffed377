"""Graph of a trained model for export: pixels and modality in, L2-normalized embeddings out."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.errors import UserError
from vireid.core.types import Batch, Modality
from vireid.data.augment.pixels import IMAGENET_MEAN, IMAGENET_STD
from vireid.embedder.description import ModelDescription
from vireid.evaluation.flips import with_mirror
from vireid.layers.norms import l2_normalize
from vireid.models.cross_modality_net import CrossModalityNet

Pixels = Literal["uint8", "float"]
ModalityInput = Literal["both", "visible", "infrared"]


class EmbeddingGraph(nn.Module):
    """Normalization, network, mirror images and L2 normalization as one module that `torch.export` can trace.

    Args:
        network: The network; copied to the CPU.
        description: Its pre-processing.
        pixels: Input images: "uint8" (B, H, W, 3), or "float" (B, 3, H, W) in [0, 1].
        modality: "both": the modality of each row is a second input. "visible" or "infrared": the graph contains the
            first units of this modality only.

    Shape:
        images, and modality (B,) int64 with "both" -> (B, D) float32, L2-normalized.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, network: CrossModalityNet, description: ModelDescription, *, pixels: Pixels, modality: ModalityInput
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().float()
        self.pixels, self.modality, self.size = pixels, modality, tuple(description.size)
        embed = self.network.embed
        self._embed = embed if description.flips == "none" else with_mirror(embed)
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in (IMAGENET_MEAN, IMAGENET_STD))
        largest = 255 if pixels == "uint8" else 1
        self.register_buffer("scale", (1 / (largest * std)).float()[:, None, None])
        self.register_buffer("shift", (-mean / std).float()[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, modality: Tensor | None = None) -> Tensor:
        if self.pixels == "uint8":
            images = images.permute(0, 3, 1, 2).float()
        rows = images.shape[0]
        zeros = torch.zeros(rows, dtype=torch.int64)
        visible = None
        if modality is None:
            kind = Modality[self.modality.upper()]
            modality, visible = torch.full((rows,), int(kind)), rows if kind is Modality.VISIBLE else 0
        batch = Batch(
            images=images * self.scale + self.shift,
            labels=zeros,
            modality=modality,
            cameras=zeros,
            view=zeros,
            index=zeros,
            visible=visible,
        )
        return l2_normalize(self._embed(batch))

    def example(self, rows: int = 3) -> tuple[Tensor, ...]:
        """Example inputs."""
        height, width = self.size
        uint8 = self.pixels == "uint8"
        images = (
            torch.zeros(rows, height, width, 3, dtype=torch.uint8) if uint8 else torch.zeros(rows, 3, height, width)
        )
        return (images, torch.arange(rows) % 2) if self.modality == "both" else (images,)

    def program(self) -> torch.export.ExportedProgram:
        """Trace the graph with a dynamic batch.

        Raises:
            UserError: If a part of the network depends on values or on the number of rows.
        """
        inputs = self.example()
        batch = torch.export.Dim("batch")
        try:
            with torch.no_grad():
                return torch.export.export(self, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs))
        except Exception as error:  # torch raises exceptions of many types
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UserError(
                f"the network cannot be exported by torch.export ({line}); a part of MODEL depends on values of its"
                " input or on the number of images: remove Python branches and len() on tensors from its forward"
            ) from error
