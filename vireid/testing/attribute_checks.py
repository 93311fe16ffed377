"""Checks of the parts that embed attributes: stages, adapters and the source of what they embed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import requested
from vireid.core.fields import FIELDS
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
from vireid.testing.tiny import tiny_batch, tiny_field, tiny_fields


def check_stage(build: Build) -> None:
    """(R, 1, C), (R, C, H, W), (R, A) -> (R, T, C); every parameter learns; each row by itself."""
    batch = tiny_batch()
    fields = tiny_fields(["feature_map", "attributes"], batch)
    tokens = tiny_field("features_bn", batch)[:, None]

    def run(stage: nn.Module, rows: Tensor | slice = slice(None)) -> Tensor:
        return stage(tokens[rows], fields["feature_map"][rows], fields["attributes"][rows])

    what = _learns(build, run)
    result = run(build())
    expected = (len(batch), result.shape[1], tokens.shape[2])
    assert result.dim() == 3, f"{what}: the result has {result.dim()} axes, not (R, T, C)"
    assert result.shape == expected, f"{what}: the result is {tuple(result.shape)}, not {expected}"
    _row_by_row(build, run, len(batch), what)


def check_adapter(build: Build) -> None:
    """A map of the same shape, and the declared fields; every parameter learns; in evaluation each row by itself."""
    batch = tiny_batch()
    fields = tiny_fields(["pooled", "feature_map", "attributes"], batch)

    def run(adapter: nn.Module, rows: Tensor | slice = slice(None)) -> dict[str, Tensor]:
        feature_map, more = adapter(**{name: value[rows] for name, value in fields.items()})
        return {"feature_map": feature_map, **more}

    what = _learns(build, run)
    adapter = build()
    result = run(adapter)
    declared = frozenset(adapter.provides)
    assert declared <= set(FIELDS), f"{what}: not in the vocabulary: {', '.join(sorted(declared - set(FIELDS)))}"
    assert set(result) == declared | {"feature_map"}, f"{what}: it provides {sorted(result)}, declares {declared}"
    assert result["feature_map"].shape == fields["feature_map"].shape, f"{what}: the map changed its shape"
    for name in declared:
        check_shape(name, result[name], len(batch), adapter.dims, what)
    _row_by_row(build, run, len(batch), what)


def check_attribute_source(build: Build) -> None:
    """Attributes in [0, 1] and the declared fields; values that nobody annotated count for nothing."""
    batch = tiny_batch()
    source = seeded_build(build)()
    what = type(source).__name__
    given = tiny_fields(requested(source), batch)
    assert source.conditions.get("attribute_source"), f"{what}: `conditions` must say the attribute_source"

    def run(module: Any, fields: dict[str, Tensor] = given) -> dict[str, Tensor]:
        torch.manual_seed(0)
        attributes, extra = module(**fields)
        return {"chosen": attributes, **extra}

    for training in (True, False):
        result = run(source.train(training))
        chosen = result.pop("chosen")
        assert chosen.shape == given["attributes"].shape, f"{what}: the attributes are {tuple(chosen.shape)}"
        assert ((chosen >= 0) & (chosen <= 1)).all(), f"{what}: attributes outside [0, 1]"
        assert set(result) == set(source.provides), f"{what}: it provides {sorted(result)}"
        for name, value in result.items():
            check_shape(name, value, len(batch), source.dims, what)
        hidden = given["attributes"].where(given["attributes_known"], 1 - given["attributes"])
        again = run(source, {**given, "attributes": hidden})
        assert close(again.pop("chosen"), chosen), f"{what}: a value that nobody annotated changes what is embedded"
    if source.provides:
        _learns(build, lambda module, rows=slice(None): run(module))
    check_state(seeded_build(build), lambda module: {k: v.detach() for k, v in run(module).items()}, what)


def _learns(build: Build, run: Any) -> str:
    """Gradients of every parameter, none at rounding level; state in the state dict. Returns the name of the part."""
    build = seeded_build(build)
    part = still(build())
    what = type(part).__name__
    fill_zeros(part)
    total_of(run(part.train())).backward()
    check_gradients(part, what)
    with torch.no_grad():
        check_state(build, lambda module: run(still(module)), what)
    return what


@torch.no_grad()
def _row_by_row(build: Build, run: Any, rows: int, what: str) -> None:
    part = seeded_build(build)().eval()
    whole = run(part)
    assert close(whole, run(part), rtol=0, atol=0), f"{what}: two evaluations of the same rows differ"
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(1))[: rows // 2]
    some = whole[order] if isinstance(whole, Tensor) else {name: value[order] for name, value in whole.items()}
    assert close(some, run(part, order)), f"{what}: in evaluation a row depends on the others"
