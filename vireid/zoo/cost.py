"""Cost of a network: parameters and operations on the meta device, latency and memory measured.

Operations (FLOPs) are counted by torch: convolutions and matrix products only, a multiplication and an addition are two
operations. They are those of embedding one image, the mean of a visible and an infrared image.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from vireid.core.types import Batch, Modality
from vireid.models.cross_modality_net import CrossModalityNet

ATTRIBUTES = 8  # number of attributes if the dataset does not state one


@dataclass(frozen=True)
class Cost:
    """Costs that do not depend on the machine."""

    parameters: int  # in training, without those of the losses
    retrieval_parameters: int  # those of them that are used to embed an image
    flops: int  # to embed one image
    width: int  # dimensions of the embedding


@dataclass(frozen=True)
class Speed:
    """Costs measured on one machine."""

    latency: float  # median seconds for one batch
    spread: float  # interquartile range
    images_per_second: float
    peak_memory: int | None  # bytes on a GPU, weights and images included; None on a CPU


class _Reads(TorchDispatchMode):
    """Record the inputs of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.seen |= {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        return func(*args, **kwargs)


def batch_of(size: Sequence[int], rows: int = 2, *, num_attributes: int = ATTRIBUTES, seed: int = 0) -> Batch:
    """Make a batch of random images: the first half visible, the second half infrared, attributes 0."""
    generator = torch.Generator().manual_seed(seed)
    zeros = torch.zeros(rows, dtype=torch.long)
    modality = torch.full_like(zeros, int(Modality.INFRARED))
    modality[: (rows + 1) // 2] = Modality.VISIBLE
    known = torch.ones(rows, num_attributes, dtype=torch.bool)
    images = torch.rand(rows, 3, *size, generator=generator)
    return Batch(images, zeros, modality, zeros, zeros, zeros, torch.zeros(rows, num_attributes), known)


def cost(model: CrossModalityNet, size: Sequence[int], *, num_attributes: int = ATTRIBUTES) -> Cost:
    """Compute the costs of a network on the meta device.

    Args:
        model: The network; it is copied.
        size: Height and width of the images.
        num_attributes: Number of attributes of each image.
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    batch = batch_of(size, num_attributes=num_attributes).to("meta")
    reads = _Reads()
    with torch.no_grad(), FlopCounterMode(display=False) as counter, reads:
        embeddings = shadow.embed(batch)
    read = sum(parameter.numel() for parameter in shadow.parameters() if id(parameter) in reads.seen)
    total = sum(parameter.numel() for parameter in shadow.parameters())
    return Cost(total, read, counter.get_total_flops() // len(batch), int(embeddings.shape[1]))


def speed(
    model: CrossModalityNet,
    size: Sequence[int],
    *,
    rows: int = 32,
    device: str = "cpu",
    repeats: int = 10,
    num_attributes: int = ATTRIBUTES,
) -> Speed:
    """Measure time and memory of embedding a batch, after a warm-up.

    Args:
        model: The network; it is moved to the device and stays there.
        size: Height and width of the images.
        rows: Images in a batch.
        device: Device to measure.
        repeats: Number of timed batches.
        num_attributes: Number of attributes of each image.

    Raises:
        ValueError: If `rows` or `repeats` is less than 2.
    """
    if rows < 2 or repeats < 2:
        raise ValueError(f"rows and repeats must be at least 2, got {rows} and {repeats}")
    place = torch.device(device)
    model = model.to(place).eval()
    batch = batch_of(size, rows, num_attributes=num_attributes).to(place)
    on_gpu = place.type == "cuda"
    times = []
    with torch.inference_mode():
        for _ in range(2):
            model.embed(batch)
        if on_gpu:
            torch.cuda.synchronize(place)
            torch.cuda.reset_peak_memory_stats(place)
        for _ in range(repeats):
            start = time.perf_counter()
            model.embed(batch)
            if on_gpu:
                torch.cuda.synchronize(place)
            times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated(place) if on_gpu else None
    quarters = statistics.quantiles(times, n=4)
    median = statistics.median(times)
    return Speed(median, quarters[2] - quarters[0], rows / median, peak)
