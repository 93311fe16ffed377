"""Figures: textured strips between joints, and their builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from vireid.synthetic import tailor
from vireid.synthetic.people import Person
from vireid.synthetic.skeleton import INDEX
from vireid.synthetic.tailor import Tube

Knots = Sequence[tuple[float, float]]
NO_CAPS = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """P strips with textures of R rows and U columns; lengths in statures."""

    person: Person
    start: np.ndarray  # (P,) joint indices
    end: np.ndarray  # (P,)
    caps: np.ndarray  # (P, 2) how far the ends stick out beyond the joints
    half: np.ndarray  # (P, R) half-width from the front
    depth: np.ndarray  # (P,) side width over front width
    order: np.ndarray  # (P,) added to the depth when sorting: positive = nearer
    turns: np.ndarray  # (P,) True: turns with the head
    creases: np.ndarray  # (P,) strength of wrinkles
    visible: list[np.ndarray]  # P arrays (3, R * U); left and right limbs share one
    infrared: list[np.ndarray]  # P arrays (1, R * U)
    columns: int
    hem: float
    hair_end: float


@dataclass(frozen=True, slots=True)
class Strip:
    """One tube between two joints; the fields are those of `Figure`."""

    start: int
    end: int
    caps: tuple[float, float]
    half: np.ndarray
    depth: float
    order: float
    turns: bool
    creases: float
    texture: np.ndarray  # (4, R * U)


_TABLES = [field.name for field in fields(Strip) if field.name != "texture"]


class Sewing:
    """Builder of a `Figure`; `rows` and `columns` are the texture size."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.strips: list[Strip] = []

    def tube(self, length: float, girth: float, caps: tuple[float, float] = NO_CAPS) -> Tube:
        return Tube.grid(self.rows, self.columns, length=length + sum(caps), girth=girth, before=caps[0])

    def add(
        self,
        joints: str,
        length: float,
        knots: Knots,
        picture: np.ndarray,
        *,
        caps: tuple[float, float] = NO_CAPS,
        depth: float = 1.0,
        order: float = 0.0,
        turns: bool = False,
        creases: float = 1.0,
        both: bool = False,
    ) -> None:
        """Add a strip.

        `joints` is "start end"; with `both`, each exists as _l and _r. `knots` are (share of the length, half-width).
        """
        start, end = joints.split()
        texture = tailor.average(picture)
        half = profile(self.rows, length, knots, caps)
        for side in ("_l", "_r") if both else ("",):
            first, last = INDEX[start + side], INDEX[end + side]
            self.strips.append(Strip(first, last, caps, half, depth, order, turns, creases, texture))

    def finish(self, person: Person, *, hem: float, hair_end: float) -> Figure:
        tables = {name: np.array([getattr(s, name) for s in self.strips]) for name in _TABLES}
        return Figure(
            person=person,
            columns=self.columns,
            hem=hem,
            hair_end=hair_end,
            visible=[np.ascontiguousarray(s.texture[:3]) for s in self.strips],
            infrared=[np.ascontiguousarray(s.texture[3:]) for s in self.strips],
            **tables,
        )


def profile(rows: int, length: float, knots: Knots, caps: tuple[float, float]) -> np.ndarray:
    """(rows,) half-widths along a strip whose ends are rounded over `caps` beyond its joints."""
    place = (np.arange(rows) + 0.5) / rows * (length + sum(caps)) - caps[0]
    half = np.interp(place / length, [k[0] for k in knots], [k[1] for k in knots])
    for beyond, cap in ((-place, caps[0]), (place - length, caps[1])):
        if cap > 0:
            half = half * np.sqrt(np.clip(1 - (np.maximum(beyond, 0) / cap) ** 2, 0, 1))
    return half
