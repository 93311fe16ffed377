"""Contract checks of attribute stages, adapters and attribute sources."""

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
    disable_dropout,
    fill_zeros,
    seeded_build,
    total_of,
)
from vireid.testing.tiny import tiny_batch, tiny_field, tiny_fields


def check_stage(build: Build) -> None:
    """Check a stage: (R, 1, C), (R, C, H, W), (R, A) -> (R, T, C); every parameter learns; rows are independent."""
    batch = tiny_batch()
    fields = tiny_fields(["feature_map", "attributes"], batch)
    tokens = tiny_field("features_bn", batch)[:, None]

    def run(stage: nn.Module, rows: Tensor | slice = slice(None)) -> Tensor:
        return stage(tokens[rows], fields["feature_map"][rows], fields["attributes"][rows])

    part_name = _learns(build, run)
    result = run(build())
    expected = (len(batch), result.shape[1], tokens.shape[2])
    assert result.dim() == 3, f"{part_name}: the result has {result.dim()} axes, not (R, T, C)"
    assert result.shape == expected, f"{part_name}: the result is {tuple(result.shape)}, not {expected}"
    _row_by_row(build, run, len(batch), part_name)


def check_adapter(build: Build) -> None:
    """Check an adapter: it keeps the shape of the map, provides the declared fields and treats rows independently."""
    batch = tiny_batch()
    fields = tiny_fields(["pooled", "feature_map", "attributes"], batch)

    def run(adapter: nn.Module, rows: Tensor | slice = slice(None)) -> dict[str, Tensor]:
        feature_map, more = adapter(**{name: value[rows] for name, value in fields.items()})
        return {"feature_map": feature_map, **more}

    part_name = _learns(build, run)
    adapter = build()
    result = run(adapter)
    declared = frozenset(adapter.provides)
    assert declared <= set(FIELDS), (
        f"{part_name}: not defined in core/fields.py: {', '.join(sorted(declared - set(FIELDS)))}"
    )
    assert set(result) == declared | {"feature_map"}, f"{part_name}: it provides {sorted(result)}, declares {declared}"
    assert result["feature_map"].shape == fields["feature_map"].shape, f"{part_name}: the map changed its shape"
    for name in declared:
        check_shape(name, result[name], len(batch), adapter.dims, part_name)
    _row_by_row(build, run, len(batch), part_name)


def check_attribute_source(build: Build) -> None:
    """Check an attribute source: values in [0, 1], the declared fields; entries without annotation have no effect."""
    batch = tiny_batch()
    source = seeded_build(build)()
    part_name = type(source).__name__
    base_fields = tiny_fields(requested(source), batch)
    assert source.conditions.get("attribute_source"), f"{part_name}: `conditions` must contain attribute_source"

    def run(module: Any, fields: dict[str, Tensor] = base_fields) -> dict[str, Tensor]:
        torch.manual_seed(0)
        attributes, extra = module(**fields)
        return {"chosen": attributes, **extra}

    for training in (True, False):
        result = run(source.train(training))
        chosen = result.pop("chosen")
        assert chosen.shape == base_fields["attributes"].shape, f"{part_name}: the attributes are {tuple(chosen.shape)}"
        assert ((chosen >= 0) & (chosen <= 1)).all(), f"{part_name}: attributes outside [0, 1]"
        assert set(result) == set(source.provides), f"{part_name}: it provides {sorted(result)}"
        for name, value in result.items():
            check_shape(name, value, len(batch), source.dims, part_name)
        hidden = base_fields["attributes"].where(base_fields["attributes_known"], 1 - base_fields["attributes"])
        again = run(source, {**base_fields, "attributes": hidden})
        assert close(again.pop("chosen"), chosen), (
            f"{part_name}: an entry without annotation changes the embedded attributes"
        )
    if source.provides:
        _learns(build, lambda module, rows=slice(None): run(module))
    check_state(seeded_build(build), lambda module: {k: v.detach() for k, v in run(module).items()}, part_name)


def _learns(build: Build, run: Any) -> str:
    """Check gradients and state of a part; returns the name of the part."""
    build = seeded_build(build)
    part = disable_dropout(build())
    part_name = type(part).__name__
    fill_zeros(part)
    total_of(run(part.train())).backward()
    check_gradients(part, part_name)
    with torch.no_grad():
        check_state(build, lambda module: run(disable_dropout(module)), part_name)
    return part_name


@torch.no_grad()
def _row_by_row(build: Build, run: Any, rows: int, part_name: str) -> None:
    part = seeded_build(build)().eval()
    full = run(part)
    assert close(full, run(part), rtol=0, atol=0), f"{part_name}: two evaluations of the same rows differ"
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(1))[: rows // 2]
    subset = full[order] if isinstance(full, Tensor) else {name: value[order] for name, value in full.items()}
    assert close(subset, run(part, order)), f"{part_name}: in evaluation a row depends on the others"
