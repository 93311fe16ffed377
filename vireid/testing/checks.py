"""One check for each kind of part. Each takes a function that builds the part and raises AssertionError."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import requested
from vireid.core.fields import BATCH_FIELDS, FIELDS
from vireid.core.types import Batch, Modality, Progress
from vireid.testing.promises import (
    Build,
    check_gradients,
    check_shape,
    check_state,
    close,
    fill_zeros,
    seeded_build,
    still,
    total_of,
)
from vireid.testing.tiny import SIZES, tiny_batch, tiny_field, tiny_fields


def check_loss(build: Build, *, fields: Mapping[str, Tensor] | None = None) -> None:
    """Scalar, finite, differentiable, the same for any row order, all state in the state dict.

    `fields` replaces the random values of the fields that the loss asks for by parameter name.
    """
    build = seeded_build(build)
    loss = still(build())
    what, batch = type(loss).__name__, tiny_batch()
    given = tiny_fields(requested(loss), batch) | dict(fields or {})

    inputs = _tracked(given)
    named = _scalars(loss(**inputs), what)
    fill_zeros(loss)
    loss.zero_grad()
    inputs = _tracked(given)
    _scalars(loss(**inputs), what, sum_only=True).backward()
    reached = {name: value.grad for name, value in inputs.items() if value.grad is not None}
    assert any(grad.any() for grad in reached.values()), f"{what}: no gradient reaches any of {', '.join(inputs)}"
    for name, grad in reached.items():
        assert grad.isfinite().all(), f"{what}: the gradient of {name} is not finite"
    check_gradients(loss, what)
    for name, value in inputs.items():
        assert torch.equal(value, given[name]), f"{what}: it changes its input {name}"
    assert all(value.isfinite() for value in named.values()), f"{what}: not finite: {named}"

    _check_row_order(loss, given, what)
    check_state(build, lambda module: _scalars(still(module)(**given), what), what)


def _tracked(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the fields; those that a network computes ask for gradients."""
    copies = {name: value.clone() for name, value in given.items()}
    for name, value in copies.items():
        if name not in BATCH_FIELDS and value.is_floating_point():
            value.requires_grad_()
    return copies


def _scalars(result: Any, what: str, *, sum_only: bool = False) -> Any:
    named = dict(result) if isinstance(result, Mapping) else {"": result}
    for name, value in named.items():
        assert isinstance(value, Tensor), f"{what}: {name or 'the result'} is no tensor"
        assert value.dim() == 0, f"{what}: {name or 'the result'} has shape {tuple(value.shape)}, not one value"
    return torch.stack(list(named.values())).sum() if sum_only else named


def _check_row_order(loss: nn.Module, given: Mapping[str, Tensor], what: str) -> None:
    """Value and gradients in float64, where rounding cannot be the excuse, before and after shuffling the rows."""
    loss = loss.double()
    state = {name: value.clone() for name, value in loss.state_dict().items()}
    given = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    order = torch.randperm(len(next(iter(given.values()))), generator=torch.Generator().manual_seed(1))
    results = []
    for rows in (torch.arange(len(order)), order):
        loss.load_state_dict(state)
        inputs = _tracked({name: value[rows] for name, value in given.items()})
        torch.manual_seed(0)
        value = _scalars(loss(**inputs), what, sum_only=True)
        value.backward()
        back = torch.argsort(rows)
        grads = {name: tensor.grad[back] for name, tensor in inputs.items() if tensor.grad is not None}
        results.append({"value": value.detach(), **grads})
    for name in results[0]:
        same = close(results[0][name], results[1][name], rtol=1e-7, atol=1e-10)
        assert same, f"{what}: its {name if name == 'value' else f'gradient of {name}'} depends on the order of rows"


def check_head(build: Build, *, fields: Mapping[str, Tensor] | None = None) -> None:
    """Provides what it declares, as wide as it declares; fields of `training_only` in training only."""
    build = seeded_build(build)
    head = still(build())
    what, batch = type(head).__name__, tiny_batch()
    given = tiny_fields(requested(head), batch) | dict(fields or {})
    declared, training_only = frozenset(head.provides), frozenset(getattr(head, "training_only", ()))
    assert declared, f"{what}: it provides nothing"
    assert declared <= set(FIELDS), f"{what}: not in the vocabulary: {', '.join(sorted(declared - set(FIELDS)))}"
    assert training_only <= declared, f"{what}: training_only names fields that it does not provide"
    assert set(head.dims) == declared, f"{what}: `dims` must give the width of each field that it provides"

    head.train()
    fill_zeros(head)
    inputs = _tracked(given)
    result = head(**inputs)
    assert set(result) == declared, f"{what}: it provides {sorted(result)} in training and declares {sorted(declared)}"
    for name, value in result.items():
        check_shape(name, value, len(batch), head.dims, what)
    total_of(result).backward()
    check_gradients(head, what)
    for name, value in inputs.items():
        assert torch.equal(value, given[name]), f"{what}: it changes its input {name}"

    head.eval()
    with torch.no_grad():
        result = head(**given)
        expected = declared - training_only
        kept = set(result) - training_only
        assert kept == expected, f"{what}: in evaluation it provides {sorted(kept)}, not {sorted(expected)}"
        assert close(result, head(**given), rtol=0, atol=0), f"{what}: two evaluations of the same rows differ"
        order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
        shuffled = head(**{name: value[order] for name, value in given.items()})
        expected = {name: value[order] for name, value in result.items()}
        assert close(expected, shuffled), f"{what}: in evaluation a row depends on the others"
    check_state(build, lambda module: still(module)(**given), what)


def check_pool(build: Build) -> None:
    """(R, C, H, W) -> (R, C), in float32 for half-precision maps; each row by itself."""
    build = seeded_build(build)
    pool, feature_map = build(), tiny_field("feature_map", tiny_batch())
    what = type(pool).__name__
    tracked = feature_map.clone().requires_grad_()
    pooled = pool(tracked)
    assert pooled.shape == feature_map.shape[:2], f"{what}: {tuple(feature_map.shape)} became {tuple(pooled.shape)}"
    total_of(pooled).backward()
    assert tracked.grad is not None, f"{what}: no gradient reaches the map"
    assert tracked.grad.isfinite().all(), f"{what}: the gradient of the map is not finite"
    check_gradients(pool, what)
    assert pool(feature_map.bfloat16()).dtype == torch.float32, f"{what}: half precision must be pooled in float32"
    assert close(pool(feature_map[:1]), pooled[:1].detach()), f"{what}: a row depends on the others"
    check_state(build, lambda module: module(feature_map).detach(), what)


def check_backbone(build: Build) -> None:
    """Maps as wide as `channels` for rows of both modalities in any order, and for one modality alone."""
    build = seeded_build(build)
    backbone, batch = still(build()), tiny_batch(per_modality=2)
    what = type(backbone).__name__
    backbone.train()
    fill_zeros(backbone)
    feature_map, source = backbone(batch.images, batch.modality)
    rows = len(batch) if source is None else len(source)
    assert feature_map.dim() == 4, f"{what}: a map has 4 axes, this one {feature_map.dim()}"
    assert feature_map.shape[:2] == (rows, backbone.channels), (
        f"{what}: the map is {tuple(feature_map.shape)}; {rows} rows and `channels` {backbone.channels} were promised"
    )
    assert source is None or set(source.tolist()) == set(range(len(batch))), f"{what}: `source` leaves out rows"
    total_of(feature_map).backward()
    check_gradients(backbone, what)

    backbone.eval()
    with torch.no_grad():
        whole = _by_image(backbone, batch)
        assert close(whole, _by_image(backbone, batch), rtol=0, atol=0), f"{what}: two evaluations differ"
        order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(1))
        shuffled = _by_image(backbone, batch.select(order))
        assert close(whole[order], shuffled), f"{what}: its rows do not follow the order of the images"
        for modality in Modality:
            rows_of = (batch.modality == modality).nonzero().squeeze(1)
            alone = _by_image(backbone, batch.select(rows_of))
            assert close(whole[rows_of], alone), f"{what}: {modality.name} images alone give something else"
    check_state(build, lambda module: still(module)(batch.images, batch.modality)[0].detach(), what)


def _by_image(backbone: nn.Module, batch: Batch) -> Tensor:
    """(B, ...): the rows of each image side by side."""
    feature_map, source = backbone(batch.images, batch.modality)
    rows = feature_map if source is None else feature_map[torch.argsort(source, stable=True)]
    return rows.reshape(len(batch), -1)


def check_insert(build: Build) -> None:
    """`count` and a module for maps of any number of channels that keeps their shape."""
    insert = build()
    what, channels = type(insert).__name__, SIZES["C"]
    assert insert.count >= 1, f"{what}: count must be at least 1"
    feature_map = tiny_field("feature_map", tiny_batch())

    def make() -> nn.Module:
        return insert.build(channels)

    module = still(make())
    fill_zeros(module)
    result = module(feature_map)
    assert result.shape == feature_map.shape, f"{what}: {tuple(feature_map.shape)} became {tuple(result.shape)}"
    total_of(result).backward()
    check_gradients(module, what)
    check_state(seeded_build(make), lambda part: still(part)(feature_map).detach(), what)


def check_no_wait(build: Build, run: Callable[[Any], Any]) -> None:
    """Forward and backward without a look at the value of any tensor, which on a GPU means waiting for it.

    Done on torch's meta device, where values do not exist. `run` takes the part and gives its result for inputs there.
    Parts outside vireid are free to wait; those that are shipped are not: the trainer's own look at the losses is the
    one wait of a step.
    """
    with torch.device("meta"):
        part = build()
    part = part.to("meta") if isinstance(part, nn.Module) else part
    try:
        total_of(run(part)).backward()
    except (NotImplementedError, RuntimeError) as error:
        raise AssertionError(f"{type(part).__name__}: it looks at the values of tensors: {error}") from error


def check_term_schedule(build: Build) -> None:
    """A finite factor >= 0 at any time, the same each time it is asked."""
    schedule = build()
    what = type(schedule).__name__
    last_epoch: dict[str, float] = dict.fromkeys(getattr(schedule, "reads_terms", ()), 1.5)
    for epoch in (0, 1, 7, 100):
        progress = Progress(epoch=epoch, step=10 * epoch, last_epoch=last_epoch if epoch else {})
        factor = schedule(progress)
        assert math.isfinite(factor), f"{what}: the factor of epoch {epoch} is {factor}"
        assert factor >= 0, f"{what}: the factor of epoch {epoch} is {factor}"
        again = schedule(progress)
        assert again == factor, f"{what}: it gives {factor}, then {again}"
