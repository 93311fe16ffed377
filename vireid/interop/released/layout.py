"""Layouts of released networks: rules from their tensor names to those of this package."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from vireid.core.errors import nearest


@dataclass(frozen=True)
class Key:
    """A tensor of a released checkpoint."""

    name: str
    shape: tuple[int, ...]
    used: bool  # in a forward pass


@dataclass(frozen=True)
class Form:
    """Conversion of a released tensor to the form of this package; `back` is the inverse.

    `back` takes the tensor and the released shape without axis 0.
    """

    ours: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, tuple[int, ...]], Tensor]


SAME = Form(lambda released: released, lambda ours, rest: ours)
LAYER = Form(  # one of several equal layers: a row of the joined tensor; a 1 x 1 convolution is a matrix
    lambda released: (released.flatten(1) if released.dim() == 4 else released).unsqueeze(0),
    lambda ours, rest: ours.reshape(-1, *rest),
)
MATRIX = Form(lambda released: released.flatten(1), lambda ours, rest: ours.reshape(-1, *rest))  # a 1 x 1 convolution
TRANSPOSED = Form(lambda released: released.T, lambda ours, rest: ours.T)


@dataclass(frozen=True)
class Place:
    """The place of a released tensor: a tensor of this package, or a share of the rows of one that joins several."""

    name: str
    share: int | None = None  # which one, along axis 0; None: the complete tensor
    form: Form = SAME


@dataclass(frozen=True)
class Rule:
    """A pattern that matches complete released names, and the name in this package.

    `ours` is a template with the groups of the pattern (`\\1`), or a function of the match; None drops the tensor,
    because the network of this package has no such tensor (state of a loss, or a counter that is stored once). A group
    named `share` makes the tensor one share of the rows of the joined tensor: its number, or its index in `shares`.
    """

    pattern: str
    ours: str | Callable[[re.Match[str]], str] | None
    form: Form = SAME
    shares: Sequence[str] = ()

    def place(self, match: re.Match[str]) -> Place | None:
        if self.ours is None:
            return None
        name = match.expand(self.ours) if isinstance(self.ours, str) else self.ours(match)
        share = match.groupdict().get("share")
        if share is None:
            return Place(name, None, self.form)
        return Place(name, self.shares.index(share) if self.shares else int(share), self.form)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A released network.

    Attributes:
        model: Name of the release.
        config: Shipped method (or composition) of the network; None if it has no config.
        rules: The first rule whose pattern matches a tensor places it.
        dead: Patterns of tensors that the release never uses in a forward pass, in addition to those marked in the key
            list.
        keys: Release whose key list is used; empty: its own.
        family: Name of the release for the converter.
        also: Tensors that only some files have, by name and shape as in the key list.
        given: Tensors that only the network of this package has, with their values.
        arch: timm network whose names the conversion gives; empty: those of a network of this package.
        package: Python package that contains the released file; empty: none.
        extra: Extra of this package that installs `package`.
        license: License of the weights, if it is known.
        annotated: Whether it was trained with identity labels; otherwise no tensor has an axis of identities that means
            anything, and the dataset cannot be inferred.
    """

    model: str
    config: str | None
    rules: Sequence[Rule]
    dead: Sequence[str] = ()
    keys: str = ""
    family: str = ""
    also: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    given: Mapping[str, Sequence[float]] = field(default_factory=dict)
    arch: str = ""
    package: str = ""
    extra: str = ""
    license: str = ""
    annotated: bool = True

    def is_dead(self, name: str) -> bool:
        return any(re.fullmatch(pattern, name) for pattern in self.dead)

    def place(self, name: str) -> Place | None:
        """Return the place of a tensor; None if it is dropped."""
        for rule in self.rules:
            if match := re.fullmatch(rule.pattern, name):
                return rule.place(match)
        raise AssertionError(f"no rule of the layout {self.model!r} places {name}")


LAYOUTS: dict[str, Layout] = {}


def register(layout: Layout) -> Layout:
    """Register a layout and return it; ValueError if the name is taken."""
    if layout.model in LAYOUTS:
        raise ValueError(f"a layout of the release {layout.model!r} is already registered")
    LAYOUTS[layout.model] = layout
    return layout


def layout_of(model: str) -> Layout:
    """Return the layout of a release; ValueError with the known names for another name."""
    if model not in LAYOUTS:
        known = f"{nearest(model, LAYOUTS)} (known: {', '.join(LAYOUTS)})"
        raise ValueError(f"no released network is called {model!r}{known}")
    return LAYOUTS[model]
