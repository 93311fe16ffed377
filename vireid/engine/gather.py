"""The rows of all processes in each of them, with gradients, for losses that want the whole batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, distributed

from vireid.core.types import Batch, ModelOutput
from vireid.layers.precision import float32_or_more


class _Gathered(torch.autograd.Function):
    """(R, ...) of each process -> (world R, ...), rank after rank.

    Backward: a row's gradient is the sum of what the losses of all processes say about it. DistributedDataParallel then
    averages parameters over processes, so that together they are the gradient of the mean of the processes' losses;
    where all compute the same loss from the same rows, that is the gradient of one process with the whole batch.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.contiguous().clone()
        distributed.all_reduce(gradient)
        start = distributed.get_rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def world_size() -> int:
    """Number of processes; 1 where there is no process group."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_rows(rows: Tensor) -> Tensor:
    """(R, ...) -> (world R, ...) in every process, differentiable; R has to be the same in each."""
    if world_size() == 1:
        return rows
    if rows.dtype == torch.bool:  # not every backend sends these
        return gather_rows(rows.to(torch.uint8)).bool()
    return _Gathered.apply(rows)  # type: ignore[return-value]


def gather_step(batch: Batch, features: ModelOutput, names: Iterable[str]) -> tuple[Batch, ModelOutput]:
    """The batch without its images and the named fields of the features, of all processes together.

    Floating fields arrive in float32, in which losses compute. With one process nothing changes.
    """
    if world_size() == 1:
        return batch, features
    rows = len(batch)
    columns = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "images"}
    whole = {name: gather_rows(value) for name, value in columns.items() if isinstance(value, Tensor)}
    values = {name: features.values[name] for name in sorted(names) if name in features.values}  # one order in all
    values = {name: gather_rows(float32_or_more(value)) for name, value in values.items()}
    source = features.source
    if source is not None:
        source = gather_rows(source + rows * distributed.get_rank())
    return replace(batch, images=batch.images[:0], visible=None, host=None, **whole), ModelOutput(values, source)
