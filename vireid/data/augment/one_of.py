"""Choice of one augmentation for each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.types import Batch
from vireid.data.augment.pixels import send
from vireid.data.augment.spectrum import SpectrumJitter, WeightedGrayscale
from vireid.data.augment.transforms import Augmentation


@AUGMENTATIONS.register(steps=AUGMENTATIONS)
class OneOf(Augmentation):
    """Choose one of several augmentations for each image, all with equal probability.

    The chosen one then draws for itself, with its own probability: with four steps of probability 0.5, half of the
    images do not change.

    Args:
        steps: Name -> augmentation of 8-bit pixels (hook `color`), such as `HueJitter`.

    Raises:
        ArgumentError: If there is no step, or a step that moves pixels, changes other values than 8-bit pixels or reads
            rows of both modalities.

    Source:
        MCJA (TCSVT 2024), released code: torchvision's RandomChoice.

    Example:
        >>> OneOf(steps={"gray": WeightedGrayscale(), "jitter": SpectrumJitter()}).names
        ('gray', 'jitter')
    """

    example: ClassVar[dict[str, Any]] = {"steps": {"gray": WeightedGrayscale(), "jitter": SpectrumJitter()}}

    def __init__(self, *, steps: Mapping[str, Augmentation]) -> None:
        if not steps:
            raise ArgumentError("steps", "must have at least one entry, got none")
        for name, step in steps.items():
            hooks = [
                hook
                for hook in ("locate", "enhance", "paint")
                if getattr(type(step), hook) is not getattr(Augmentation, hook)
            ]
            kind = type(step).__name__
            if hooks:
                text = f"change 8-bit pixels only (hook color); {name}, {kind}, has the hook {hooks[0]}: move it out of"
                raise ArgumentError("steps", f"{text} OneOf")
            if step.whole_batch:
                text = f"are of single images; {name}, {kind}, reads rows of both modalities: move it out of OneOf"
                raise ArgumentError("steps", text)
        self.steps = dict(steps)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the steps."""
        return tuple(self.steps)

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        choice = torch.randint(len(self.steps), (len(images),), generator=generator)
        images = images.clone()
        for number, step in enumerate(self.steps.values()):
            chosen = (choice == number).nonzero().squeeze(1)
            if len(chosen):
                rows = send(chosen, images.device)
                part = batch.with_images(images).select(rows)
                images[rows] = step.color(part.images, part, generator=generator)
        return images
