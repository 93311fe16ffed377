"""What a released network's layout is made of: rules from its tensor names to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from vireid.core.errors import nearest


@dataclass(frozen=True)
class Key:
    """One tensor of a released checkpoint."""

    name: str
    shape: tuple[int, ...]
    used: bool  # in a forward pass


@dataclass(frozen=True)
class Form:
    """How the numbers of a released tensor lie in ours; `back` undoes it, given the released shape after axis 0."""

    ours: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, tuple[int, ...]], Tensor]


SAME = Form(lambda there: there, lambda here, rest: here)
LAYER = Form(  # one of several equal layers: a row of our tensor; a 1 x 1 convolution is a matrix here
    lambda there: (there.flatten(1) if there.dim() == 4 else there).unsqueeze(0),
    lambda here, rest: here.reshape(-1, *rest),
)
MATRIX = Form(lambda there: there.flatten(1), lambda here, rest: here.reshape(-1, *rest))  # a 1 x 1 convolution
TRANSPOSED = Form(lambda there: there.T, lambda here, rest: here.T)


@dataclass(frozen=True)
class Place:
    """Where a released tensor goes: a tensor of ours, or a share of the rows of one that joins several."""

    name: str
    share: int | None = None  # which one, along axis 0; None: the whole tensor
    form: Form = SAME


@dataclass(frozen=True)
class Rule:
    """Released names that a pattern describes in full, and the name of ours.

    `ours` is a template with the groups of the pattern (`\\1`), or a function of the match; None drops the tensor,
    because our network has nothing like it (state of a loss, a counter that ours keeps once). A group named `share`
    makes the tensor one share of the rows of ours: its number, or its place in `shares`.
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

    `model`: its name; `config`: the method (or composition) that it is here, where one is shipped; `rules`: the first
    whose pattern fits a tensor places it; `dead`: patterns of tensors that the release never uses in a forward pass,
    beside those that its key list marks; `keys`: the release whose key list it shares; `family`: the name that the
    converter knows it by; `also`: tensors that only some files have, by name and shape, as in the key list; `given`:
    tensors of ours that the release has no like of, and their values.
    """

    model: str
    config: str | None
    rules: Sequence[Rule]
    dead: Sequence[str] = ()
    keys: str = ""
    family: str = ""
    also: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    given: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def is_dead(self, name: str) -> bool:
        return any(re.fullmatch(pattern, name) for pattern in self.dead)

    def place(self, name: str) -> Place | None:
        """None for a tensor that is dropped."""
        for rule in self.rules:
            if match := re.fullmatch(rule.pattern, name):
                return rule.place(match)
        raise AssertionError(f"no rule of the layout {self.model!r} places {name}")


LAYOUTS: dict[str, Layout] = {}


def register(layout: Layout) -> Layout:
    """Make a layout known; returns it. A name that is taken is an error."""
    if layout.model in LAYOUTS:
        raise ValueError(f"there is a layout of the release {layout.model!r} already")
    LAYOUTS[layout.model] = layout
    return layout


def layout_of(model: str) -> Layout:
    """ValueError with the known ones for another name."""
    if model not in LAYOUTS:
        known = f"{nearest(model, LAYOUTS)} (known: {', '.join(LAYOUTS)})"
        raise ValueError(f"no released network is called {model!r}{known}")
    return LAYOUTS[model]
