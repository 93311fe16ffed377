"""What the checks of parts are made of: gradients, shapes, state, equality."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.fields import FIELDS

ROUNDING = 1e-6  # a parameter whose largest gradient is below this share of the largest of all learns nothing

Build = Callable[[], Any]


def fill_zeros(module: nn.Module, *, seed: int = 0) -> None:
    """Noise into parameters that start at zero, which would otherwise hide or stop gradients."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() and not parameter.any():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))


def still(module: Any) -> Any:
    """The same module without dropout."""
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
    return module


def shifts_before_norms(module: nn.Module) -> set[str]:
    """Names of biases that a batch normalisation right behind them takes away again."""
    names: set[str] = set()
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    for path, parent in module.named_modules():
        children = list(parent.named_children())
        for (name, child), (_, following) in itertools.pairwise(children):
            if isinstance(following, norms) and getattr(child, "bias", None) is not None:
                names.add(".".join(filter(None, (path, name, "bias"))))
    return names


def check_gradients(module: nn.Module, what: str, *, rounding: float = ROUNDING) -> None:
    """After a backward pass: each trainable parameter has a finite gradient, none of them at rounding level.

    A layer that has no effect (an attention that is uniform whatever its weights) is found by this.
    """
    sizes = {}
    exempt = shifts_before_norms(module)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, f"{what}: nothing reaches parameter {name}"
        assert parameter.grad.isfinite().all(), f"{what}: the gradient of {name} is not finite"
        if name not in exempt:
            sizes[name] = float(parameter.grad.abs().max())
    largest = max(sizes.values(), default=0.0)
    silent = [name for name, size in sizes.items() if size <= rounding * largest]
    assert not silent, f"{what}: gradients at rounding level, so these learn nothing: {', '.join(silent)}"


def check_shape(name: str, value: Tensor, rows: int, dims: Mapping[str, int], what: str) -> None:
    """The shape that the vocabulary gives a field; D and I as the part declares in `dims`."""
    letters = FIELDS[name].shape
    assert value.dim() == len(letters), f"{what}: {name} has {value.dim()} axes, the vocabulary says {letters}"
    for axis, letter in enumerate(letters):
        size = value.shape[axis]
        if letter == "R":
            assert size == rows, f"{what}: {name} has {size} rows, not {rows}"
    if name in dims and letters[-1] in ("C", "D", "I", "A"):
        assert value.shape[-1] == dims[name], f"{what}: {name} is {value.shape[-1]} wide, `dims` says {dims[name]}"


def close(a: Any, b: Any, *, rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Whether two results (tensors, tuples or maps of them, None) are equal up to rounding."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(close(a[key], b[key], rtol=rtol, atol=atol) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(close(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))
    return a == b


def total_of(result: Any, *, seed: int = 0) -> Tensor:
    """A scalar that depends on every entry of a result: the sum of its tensors, each times fixed random weights."""
    tensors = list(result.values()) if isinstance(result, Mapping) else [result]
    generator = torch.Generator().manual_seed(seed)
    parts = [(t * torch.randn(t.shape, generator=generator).to(t)).sum() for t in tensors if t.requires_grad]
    assert parts, "the result does not depend on anything that learns"
    return torch.stack(parts).sum()


def check_state(build: Build, run: Callable[[nn.Module], Any], what: str) -> None:
    """A second instance that loads the state dict of a used one gives the same result."""
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
    assert close(*results), f"{what}: `state_dict` does not hold all state: a copy that loads it gives another result"


def seeded_build(build: Build) -> Build:
    """Builds under the caller's generators forked and seeded: another initialisation on each call."""
    calls = iter(range(1_000_000))

    def make() -> Any:
        torch.manual_seed(next(calls))
        return build()

    return make
