"""Contract checks, one for each kind of part. Each takes a function that builds the part and raises AssertionError."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import requested
from vireid.core.fields import BACKBONE_FIELDS, BATCH_FIELDS, FIELDS
from vireid.core.interfaces import EpochContext
from vireid.core.types import Batch, Modality, Progress
from vireid.testing.promises import (
    Build,
    check_gradients,
    check_shape,
    check_state,
    close,
    disable_dropout,
    fill_zeros,
    seeded_build,
    total_of,
)
from vireid.testing.tiny import SIZES, tiny_batch, tiny_field, tiny_fields


def check_loss(
    build: Build, *, fields: Mapping[str, Tensor] | None = None, context: EpochContext | None = None
) -> None:
    """Check a loss: scalar, finite, differentiable, independent of the row order, all state in the state dict.

    Args:
        build: Builds the loss.
        fields: Fields that replace the random values of the fields that the loss requests.
        context: Start of an epoch that the loss needs: `start_epoch` of the loss is called with it before every run.

    Example:
        >>> from vireid.losses import BatchHardTriplet
        >>> check_loss(lambda: BatchHardTriplet(margin=0.3))
    """
    build = seeded_build(build)
    loss = disable_dropout(build())
    part_name, batch = type(loss).__name__, tiny_batch()
    base_fields = tiny_fields(requested(loss), batch) | dict(fields or {})

    def run(module: nn.Module, inputs: Mapping[str, Tensor]) -> Any:
        if context is not None:
            module.start_epoch(context)  # type: ignore[operator]
        return module(**inputs)

    inputs = _tracked(base_fields)
    named = _scalars(run(loss, inputs), part_name)
    fill_zeros(loss)
    loss.zero_grad()
    inputs = _tracked(base_fields)
    _scalars(run(loss, inputs), part_name, sum_only=True).backward()
    reached = {name: value.grad for name, value in inputs.items() if value.grad is not None}
    assert any(grad.any() for grad in reached.values()), f"{part_name}: no gradient reaches any of {', '.join(inputs)}"
    for name, grad in reached.items():
        assert grad.isfinite().all(), f"{part_name}: the gradient of {name} is not finite"
    check_gradients(loss, part_name)
    for name, value in inputs.items():
        assert torch.equal(value, base_fields[name]), f"{part_name}: it changes its input {name}"
    assert all(value.isfinite() for value in named.values()), f"{part_name}: not finite: {named}"

    _check_row_order(loss, base_fields, part_name, run)
    check_state(build, lambda module: _scalars(run(disable_dropout(module), base_fields), part_name), part_name)


def _tracked(base_fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy the fields; floating-point fields that a network computes require gradients."""
    copies = {name: value.clone() for name, value in base_fields.items()}
    for name, value in copies.items():
        if name not in BATCH_FIELDS and value.is_floating_point():
            value.requires_grad_()
    return copies


def _scalars(result: Any, part_name: str, *, sum_only: bool = False) -> Any:
    named = dict(result) if isinstance(result, Mapping) else {"": result}
    for name, value in named.items():
        assert isinstance(value, Tensor), f"{part_name}: {name or 'the result'} is not a tensor"
        assert value.dim() == 0, f"{part_name}: {name or 'the result'} has shape {tuple(value.shape)}, not one value"
    return torch.stack(list(named.values())).sum() if sum_only else named


def _check_row_order(
    loss: nn.Module,
    base_fields: Mapping[str, Tensor],
    part_name: str,
    run: Callable[[nn.Module, Mapping[str, Tensor]], Any],
) -> None:
    """Compare value and gradients before and after shuffling the rows, in float64 to exclude rounding."""
    loss = loss.double()
    state = {name: value.clone() for name, value in loss.state_dict().items()}
    base_fields = {name: value.double() if value.is_floating_point() else value for name, value in base_fields.items()}
    order = torch.randperm(len(next(iter(base_fields.values()))), generator=torch.Generator().manual_seed(1))
    results = []
    for rows in (torch.arange(len(order)), order):
        loss.load_state_dict(state)
        inputs = _tracked({name: value[rows] for name, value in base_fields.items()})
        torch.manual_seed(0)
        value = _scalars(run(loss, inputs), part_name, sum_only=True)
        value.backward()
        back = torch.argsort(rows)
        grads = {name: tensor.grad[back] for name, tensor in inputs.items() if tensor.grad is not None}
        results.append({"value": value.detach(), **grads})
    for name in results[0]:
        same = close(results[0][name], results[1][name], rtol=1e-7, atol=1e-10)
        assert same, (
            f"{part_name}: its {name if name == 'value' else f'gradient of {name}'} depends on the order of rows"
        )


def check_head(build: Build, *, fields: Mapping[str, Tensor] | None = None) -> None:
    """Check a head: it provides what it declares, with the declared widths; `training_only` fields in training only.

    Args:
        build: Builds the head.
        fields: Fields that replace the random values of the fields that the head requests.
    """
    build = seeded_build(build)
    head = disable_dropout(build())
    part_name, batch = type(head).__name__, tiny_batch()
    base_fields = tiny_fields(requested(head), batch) | dict(fields or {})
    declared, training_only = frozenset(head.provides), frozenset(getattr(head, "training_only", ()))
    assert declared, f"{part_name}: it provides nothing"
    assert declared <= set(FIELDS), (
        f"{part_name}: not defined in core/fields.py: {', '.join(sorted(declared - set(FIELDS)))}"
    )
    assert training_only <= declared, f"{part_name}: training_only names fields that it does not provide"
    assert set(head.dims) == declared, f"{part_name}: `dims` must give the width of each field that it provides"

    head.train()
    fill_zeros(head)
    inputs = _tracked(base_fields)
    result = head(**inputs)
    assert set(result) == declared, (
        f"{part_name}: it provides {sorted(result)} in training and declares {sorted(declared)}"
    )
    for name, value in result.items():
        check_shape(name, value, len(batch), head.dims, part_name)
    total_of(result).backward()
    check_gradients(head, part_name)
    for name, value in inputs.items():
        assert torch.equal(value, base_fields[name]), f"{part_name}: it changes its input {name}"

    head.eval()
    with torch.no_grad():
        result = head(**base_fields)
        expected = declared - training_only
        kept = set(result) - training_only
        assert kept == expected, f"{part_name}: in evaluation it provides {sorted(kept)}, not {sorted(expected)}"
        assert close(result, head(**base_fields), rtol=0, atol=0), (
            f"{part_name}: two evaluations of the same rows differ"
        )
        order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
        shuffled = head(**{name: value[order] for name, value in base_fields.items()})
        expected = {name: value[order] for name, value in result.items()}
        assert close(expected, shuffled), f"{part_name}: in evaluation a row depends on the others"
    check_state(build, lambda module: disable_dropout(module)(**base_fields), part_name)


def check_pool(build: Build) -> None:
    """Check a pool: (R, C, H, W) -> (R, C), in float32 for half-precision maps, each row independent of the others."""
    build = seeded_build(build)
    pool = build()
    name = next((name for name in requested(pool) if name in BACKBONE_FIELDS), "feature_map")
    feature_map = tiny_field(name, tiny_batch())
    part_name = type(pool).__name__
    tracked = feature_map.clone().requires_grad_()
    pooled = pool(tracked)
    assert pooled.shape == feature_map.shape[:2], (
        f"{part_name}: {tuple(feature_map.shape)} became {tuple(pooled.shape)}"
    )
    total_of(pooled).backward()
    assert tracked.grad is not None, f"{part_name}: no gradient reaches the map"
    assert tracked.grad.isfinite().all(), f"{part_name}: the gradient of the map is not finite"
    check_gradients(pool, part_name)
    assert pool(feature_map.bfloat16()).dtype == torch.float32, f"{part_name}: half precision must be pooled in float32"
    assert close(pool(feature_map[:1]), pooled[:1].detach()), f"{part_name}: a row depends on the others"
    check_state(build, lambda module: module(feature_map).detach(), part_name)


def check_backbone(build: Build) -> None:
    """Maps as wide as `channels` for rows of both modalities in any order, and for one modality alone."""
    build = seeded_build(build)
    backbone, batch = disable_dropout(build()), tiny_batch(per_modality=2)
    part_name = type(backbone).__name__
    backbone.train()
    fill_zeros(backbone)
    feature_map, source, *_ = backbone(batch.images, batch.modality)
    rows = len(batch) if source is None else len(source)
    assert feature_map.dim() == 4, f"{part_name}: a map has 4 axes, this one {feature_map.dim()}"
    assert feature_map.shape[:2] == (rows, backbone.channels), (
        f"{part_name}: the map is {tuple(feature_map.shape)}; {rows} rows and `channels` {backbone.channels} expected"
    )
    assert source is None or set(source.tolist()) == set(range(len(batch))), f"{part_name}: `source` leaves out rows"
    total_of(feature_map).backward()
    check_gradients(backbone, part_name)

    backbone.eval()
    with torch.no_grad():
        full = _by_image(backbone, batch)
        assert close(full, _by_image(backbone, batch), rtol=0, atol=0), f"{part_name}: two evaluations differ"
        order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
        shuffled = _by_image(backbone, batch.select(order))
        assert close(full[order], shuffled), f"{part_name}: its rows do not follow the order of the images"
        for modality in Modality:
            rows_of = (batch.modality == modality).nonzero().squeeze(1)
            alone = _by_image(backbone, batch.select(rows_of))
            assert close(full[rows_of], alone), f"{part_name}: {modality.name} images alone give something else"
    check_state(build, lambda module: disable_dropout(module)(batch.images, batch.modality)[0].detach(), part_name)


def _by_image(backbone: nn.Module, batch: Batch) -> Tensor:
    """Concatenate the rows of each image, (B, ...)."""
    feature_map, source, *_ = backbone(batch.images, batch.modality)
    rows = feature_map if source is None else feature_map[torch.argsort(source, stable=True)]
    return rows.reshape(len(batch), -1)


def check_insert(build: Build) -> None:
    """Check an insert: `count`, and a module for maps of any number of channels that keeps their shape."""
    insert = build()
    part_name, channels = type(insert).__name__, SIZES["C"]
    assert insert.count >= 1, f"{part_name}: count must be at least 1"
    feature_map = tiny_field("feature_map", tiny_batch())

    def make() -> nn.Module:
        return insert.build(channels)

    module = disable_dropout(make())
    fill_zeros(module)
    result = module(feature_map)
    assert result.shape == feature_map.shape, f"{part_name}: {tuple(feature_map.shape)} became {tuple(result.shape)}"
    total_of(result).backward()
    check_gradients(module, part_name)
    check_state(seeded_build(make), lambda part: disable_dropout(part)(feature_map).detach(), part_name)


def check_no_wait(build: Build, run: Callable[[Any], Any]) -> None:
    """Check that forward and backward pass do not synchronize with the device.

    The part runs on torch's meta device, where tensors have no values, so that reading one raises. Parts outside
    vireid may synchronize; the parts of vireid may not, because the finite check of the trainer is the one
    synchronization of a step.

    Args:
        build: Builds the part.
        run: Takes the part and returns its result for inputs on the meta device.
    """
    with torch.device("meta"):
        part = build()
    part = part.to("meta") if isinstance(part, nn.Module) else part
    try:
        total_of(run(part)).backward()
    except (NotImplementedError, RuntimeError) as error:
        raise AssertionError(f"{type(part).__name__}: it looks at the values of tensors: {error}") from error


def check_term_schedule(build: Build) -> None:
    """Check a term schedule: a finite factor >= 0 at any time, the same for repeated calls."""
    schedule = build()
    part_name = type(schedule).__name__
    last_epoch: dict[str, float] = dict.fromkeys(getattr(schedule, "reads_terms", ()), 1.5)
    for epoch in (0, 1, 7, 100):
        progress = Progress(epoch=epoch, step=10 * epoch, last_epoch=last_epoch if epoch else {})
        factor = schedule(progress)
        assert math.isfinite(factor), f"{part_name}: the factor of epoch {epoch} is {factor}"
        assert factor >= 0, f"{part_name}: the factor of epoch {epoch} is {factor}"
        again = schedule(progress)
        assert again == factor, f"{part_name}: it gives {factor}, then {again}"
