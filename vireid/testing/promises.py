"""Building blocks of the contract checks: gradients, shapes, state, equality."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.fields import FIELDS

ROUNDING = 1e-6  # gradients below this fraction of the largest gradient count as rounding errors

Build = Callable[[], Any]


def fill_zeros(module: nn.Module, *, seed: int = 0) -> None:
    """Add noise to parameters that are all zero, which would hide or stop gradients."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() and not parameter.any():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))


def disable_dropout(module: Any) -> Any:
    """Set every dropout probability of a module to 0; returns the module."""
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
    return module


def shifts_before_norms(module: nn.Module) -> set[str]:
    """Names of biases without effect, because a batch normalization follows them."""
    names: set[str] = set()
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    for path, parent in module.named_modules():
        children = list(parent.named_children())
        for (name, child), (_, following) in itertools.pairwise(children):
            if isinstance(following, norms) and getattr(child, "bias", None) is not None:
                names.add(".".join(filter(None, (path, name, "bias"))))
    return names


def check_gradients(module: nn.Module, part_name: str, *, rounding: float = ROUNDING) -> None:
    """Check after a backward pass that each trainable parameter has a finite gradient above rounding level.

    This finds layers without effect, such as an attention that is uniform for any weights.
    """
    sizes = {}
    exempt = shifts_before_norms(module)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, f"{part_name}: nothing reaches parameter {name}"
        assert parameter.grad.isfinite().all(), f"{part_name}: the gradient of {name} is not finite"
        if name not in exempt:
            sizes[name] = float(parameter.grad.abs().max())
    largest = max(sizes.values(), default=0.0)
    tiny = [name for name, size in sizes.items() if size <= rounding * largest]
    assert not tiny, f"{part_name}: gradients at rounding level, so these learn nothing: {', '.join(tiny)}"


def check_shape(name: str, value: Tensor, rows: int, dims: Mapping[str, int], part_name: str) -> None:
    """Check the shape of a field against `core.fields`; D and I against the `dims` of the part."""
    letters = FIELDS[name].shape
    assert value.dim() == len(letters), f"{part_name}: {name} has {value.dim()} axes, core/fields.py defines {letters}"
    for axis, letter in enumerate(letters):
        size = value.shape[axis]
        if letter == "R":
            assert size == rows, f"{part_name}: {name} has {size} rows, not {rows}"
    if name in dims and letters[-1] in ("C", "D", "I", "A"):
        assert value.shape[-1] == dims[name], (
            f"{part_name}: {name} is {value.shape[-1]} wide, `dims` declares {dims[name]}"
        )


def close(a: Any, b: Any, *, rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Compare two results (tensors, tuples or mappings of tensors, None) up to rounding."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(close(a[key], b[key], rtol=rtol, atol=atol) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(close(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))
    return a == b


def total_of(result: Any, *, seed: int = 0) -> Tensor:
    """Reduce a result to a scalar that depends on every entry: the sum of its tensors times fixed random weights."""
    tensors = list(result.values()) if isinstance(result, Mapping) else [result]
    generator = torch.Generator().manual_seed(seed)
    parts = [(t * torch.randn(t.shape, generator=generator).to(t)).sum() for t in tensors if t.requires_grad]
    assert parts, "the result does not depend on anything that learns"
    return torch.stack(parts).sum()


def check_state(build: Build, run: Callable[[nn.Module], Any], part_name: str) -> None:
    """Check that a second instance with the state dict of a used instance returns the same result."""
    used, fresh = build(), build()
    used.train()
    for _ in range(2):
        run(used)
    fresh.load_state_dict(copy.deepcopy(used.state_dict()))
    results = []
    for module in (used, fresh):
        module.eval()
        torch.manual_seed(0)
        results.append(run(module))
    assert close(*results), (
        f"{part_name}: `state_dict` does not hold all state: a copy that loads it gives another result"
    )


def seeded_build(build: Build) -> Build:
    """Seed torch before each build, with another seed for each call, so that initializations differ."""
    calls = iter(range(1_000_000))

    def make() -> Any:
        torch.manual_seed(next(calls))
        return build()

    return make
