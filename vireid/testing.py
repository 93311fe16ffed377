"""For authors of parts: a tiny batch, a tiny backbone, and checks of what every part promises.

    from vireid.testing import check_loss
    check_loss(lambda: MyLoss(margin=0.3))

A check takes a function that builds the part, because some promises are about two instances (a state dict must carry
everything from one to the other). It raises AssertionError with the name of the part and the broken promise. Promises:
declared fields are provided with the shapes of `core.vocabulary`; gradients are finite and none is at rounding level;
nothing depends on the order of rows; evaluation is deterministic; `state_dict` holds all state; inputs stay as they were.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.binding import requested, serve
from vireid.core.registries import BACKBONES
from vireid.core.types import Batch, Facts, Modality, Progress
from vireid.core.vocabulary import BATCH_FIELDS, FIELDS

ROUNDING = 1e-6  # a parameter whose largest gradient is below this share of the largest of all learns nothing
TINY = Facts(num_ids=4, num_cameras=6, num_attributes=8, channels=16, feature_dim=16)
SIZES = {"C": 16, "D": 16, "H": 6, "W": 3, "I": 4, "A": 8, "A|1": 8, "P": 3}

Build = Callable[[], Any]


def tiny_batch(
    *, identities: int = 4, per_modality: int = 3, size: tuple[int, int] = (64, 32), attributes: int = 8, seed: int = 0
) -> Batch:
    """A batch of both modalities in no order: 2 x identities x per_modality rows of normalised images."""
    generator = torch.Generator().manual_seed(seed)
    rows = 2 * identities * per_modality
    order = torch.randperm(rows, generator=generator)
    labels = torch.arange(identities).repeat_interleave(2 * per_modality)[order]
    modality = torch.tensor([Modality.VISIBLE, Modality.INFRARED]).repeat(rows // 2)[order]
    known = torch.rand(rows, attributes, generator=generator) < 0.8
    return Batch(
        images=torch.randn(rows, 3, *size, generator=generator).to(memory_format=torch.channels_last),
        labels=labels,
        modality=modality,
        cameras=torch.where(modality == Modality.VISIBLE, 1, 3) + labels % 2,
        view=torch.zeros(rows, dtype=torch.long),
        index=torch.randperm(rows, generator=generator),
        attributes=(torch.rand(rows, attributes, generator=generator) < 0.5).float() if attributes else None,
        attributes_known=known if attributes else None,
    )


def tiny_field(name: str, batch: Batch, *, seed: int = 0) -> Tensor:
    """A value of a vocabulary field with the shape that stands there: maps are >= 0, masks sum to 1 over parts."""
    if name in BATCH_FIELDS:
        value = getattr(batch, name)
        assert value is not None, f"the tiny batch has no {name}"
        return value.clone()
    generator = torch.Generator().manual_seed(seed * 1009 + sorted(FIELDS).index(name))
    shape = [len(batch) if letter == "R" else SIZES[letter] for letter in FIELDS[name].shape]
    if name == "branch":
        return torch.zeros(shape, dtype=torch.long)
    value = torch.randn(shape, generator=generator)
    if name == "part_masks":
        return value.softmax(dim=1)
    return value.relu() if name in ("feature_map", "pooled", "pooled_image") else value


def tiny_fields(names: Iterable[str], batch: Batch, *, seed: int = 0) -> dict[str, Tensor]:
    """Values for these fields; a name that the vocabulary does not have is an error saying so."""
    unknown = sorted(set(names) - set(FIELDS) - set(BATCH_FIELDS))
    assert not unknown, f"the vocabulary has no {', '.join(unknown)}: add the field there, with its shape, first"
    return {name: tiny_field(name, batch, seed=seed) for name in names}


@BACKBONES.register
class TinyBackbone(nn.Module):
    """A two-stream network of three convolutions for tests: (B, 3, h, w) -> (B, width, h/16, w/16)."""

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.channels = width
        self.visible = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.infrared = copy.deepcopy(self.visible)
        self.shared = nn.Sequential(
            nn.Conv2d(8, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)
        )

    def forward(self, images: Tensor, modality: Tensor) -> tuple[Tensor, None]:
        visible = (modality == Modality.VISIBLE).view(-1, 1, 1, 1)
        rows = images.new_zeros(len(images), 8, (images.shape[2] + 3) // 4, (images.shape[3] + 3) // 4)
        for mask, branch in ((visible, self.visible), (~visible, self.infrared)):
            chosen = mask.flatten().nonzero().squeeze(1)
            if len(chosen):
                rows = rows.index_copy(0, chosen, branch(images[chosen]).to(rows.dtype))
        return self.shared(rows), None


def build_example(target: Callable[..., Any], facts: Facts = TINY, **runtime: Any) -> Any:
    """An instance of a registered class from its defaults, its `example` arguments and facts.

    A class with other required arguments carries a class attribute `example` with keyword arguments for them.
    """
    parameters = inspect.signature(target).parameters
    arguments = {name: value for name, value in (asdict(facts) | runtime).items() if name in parameters}
    arguments |= copy.deepcopy(getattr(target, "example", {}))
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in arguments
    ]
    name = getattr(target, "__name__", repr(target))
    assert not missing, f"{name} needs {', '.join(missing)}: give it a class attribute `example` with arguments for tests"
    return target(**arguments)


# -- what the checks are made of -------------------------------------------------------------------------------------


def fill_zeros(module: nn.Module, *, seed: int = 0) -> None:
    """Noise into parameters that start at zero, which would otherwise hide or stop gradients."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() and not parameter.any():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))


def still(module: nn.Module) -> nn.Module:
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
        for (name, child), (_, following) in zip(children, children[1:], strict=False):
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


# The checks themselves are in two files for length; authors import everything from here.
from vireid.testing_checks import (  # noqa: E402
    check_adapter,
    check_attribute_source,
    check_backbone,
    check_head,
    check_insert,
    check_loss,
    check_pool,
    check_stage,
    check_term_schedule,
)
