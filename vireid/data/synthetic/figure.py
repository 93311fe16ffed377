"""From a person to the list of strips that make the picture: where each begins and ends, how wide it is, what it wears.

All of it is computed once for an identity and a set of bags; a picture only moves the joints and lights the strips.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.data.synthetic import tailor
from vireid.data.synthetic.people import Attributes, Person
from vireid.data.synthetic.skeleton import INDEX
from vireid.data.synthetic.tailor import Tube

Knots = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """P strips with tables of R rows and U columns; lengths in statures."""

    person: Person
    start: np.ndarray        # (P,) joint indices
    end: np.ndarray          # (P,)
    caps: np.ndarray         # (P, 2) how far the ends stick out beyond the joints
    half: np.ndarray         # (P, R) half-width from the front
    depth: np.ndarray        # (P,) side width over front width
    order: np.ndarray        # (P,) added to the depth when sorting: positive = nearer
    turns: np.ndarray        # (P,) True: turns with the head
    creases: np.ndarray      # (P,) strength of wrinkles
    visible: list[np.ndarray]    # P arrays (3, R * U); left and right limbs share one
    infrared: list[np.ndarray]   # P arrays (1, R * U)
    columns: int
    hem: float
    hair_end: float


class _Sewing:
    """Collects strips; `rows` and `columns` are the texture size."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.strips: list[tuple] = []

    def tube(self, length: float, girth: float, caps: tuple[float, float] = (0.0, 0.0)) -> Tube:
        return Tube.grid(self.rows, self.columns, length=length + sum(caps), girth=girth, before=caps[0])

    def add(self, start: str, end: str, length: float, knots: Knots, picture: np.ndarray, *, caps: tuple[float, float] = (0.0, 0.0),
            depth: float = 1.0, order: float = 0.0, turns: bool = False, creases: float = 1.0, both: bool = False) -> None:
        """`knots`: (share of the way from start to end, half-width). `both`: `start` and `end` exist as _l and _r."""
        texture = tailor.average(picture)
        half = _profile(self.rows, length, knots, caps)
        for side in ("_l", "_r") if both else ("",):
            self.strips.append((INDEX[start + side], INDEX[end + side], caps, half, depth, order, turns, creases, texture))


def _profile(rows: int, length: float, knots: Knots, caps: tuple[float, float]) -> np.ndarray:
    place = (np.arange(rows) + 0.5) / rows * (length + sum(caps)) - caps[0]
    half = np.interp(place / length, [k[0] for k in knots], [k[1] for k in knots])
    for beyond, cap in ((-place, caps[0]), (place - length, caps[1])):
        if cap > 0:
            half = half * np.sqrt(np.clip(1 - (np.maximum(beyond, 0) / cap) ** 2, 0, 1))
    return half


def dress(person: Person, attributes: Attributes | None = None, *, rows: int = 46, columns: int = 64) -> Figure:
    """`attributes`: those of one camera (bags come and go); otherwise the person's own."""
    if attributes is not None and attributes != person.attributes:
        person = person.but(**{name: getattr(attributes, name) for name in ("backpack", "satchel")})
    sewing = _Sewing(rows, columns)
    hem = _trunk_and_legs(sewing, person)
    _arms(sewing, person)
    hair_end = _head(sewing, person)
    _bags(sewing, person)
    start, end, caps, half, depth, order, turns, creases, textures = zip(*sewing.strips)
    return Figure(
        person=person, start=np.array(start), end=np.array(end), caps=np.array(caps), half=np.array(half), depth=np.array(depth),
        order=np.array(order), turns=np.array(turns), creases=np.array(creases), columns=columns, hem=hem, hair_end=hair_end,
        visible=[np.ascontiguousarray(t[:3]) for t in textures], infrared=[np.ascontiguousarray(t[3:]) for t in textures],
    )


def _trunk_and_legs(sewing: _Sewing, person: Person) -> float:
    """Returns the height of the skirt's hem."""
    body, outfit, look = person.body, person.outfit, person.attributes
    upper, lower = outfit.upper, outfit.lower
    crotch = body.legs - 0.045
    length, waist = 0.845 - crotch, 0.235
    tucked = upper.length < 0.3 or (look.skirt and not outfit.one_piece)
    hem = waist if tucked else waist + 0.03 + 0.13 * upper.length
    loose = 0.004 + (0.012 + 0.008 * (person.cut in ("hood", "coat", "open_jacket"))) * upper.fit
    bust = 0.007 if look.female else 0.0
    knots = [(0.0, 0.036), (0.035, 0.056), (0.06, 0.70 * body.shoulder), (0.10, 0.88 * body.shoulder), (0.16, body.shoulder - 0.010), (0.30, body.chest + bust + loose),
             (waist / length, body.waist + loose * (0.5 if tucked else 1.0)), (0.86, body.hip + (0.004 if tucked else loose)), (1.0, body.hip * 0.93)]
    caps = (0.0, 0.02)
    tube = sewing.tube(length, 0.66, caps)
    sewing.add("neck", "crotch", length, knots, tailor.trunk(tube, person, hem=hem, waist=waist), caps=caps, depth=body.depth)

    bare = look.skirt
    behind = 0.25 if look.skirt or person.cut == "coat" else 0.0            # a striding thigh stays under the cloth
    reach = 0.95 if look.long_lower else 0.42 + 0.40 * lower.length                # share of the thigh (short) or shin (long)
    slack = 0.004 + 0.016 * lower.fit * (not bare)
    thigh, shin = 0.475 * body.legs, 0.440 * body.legs
    thick = 0.92 + 0.08 * body.limb if bare else body.limb
    end_thigh = -1.0 if bare else (1.0 if look.long_lower else reach * thigh)
    end_shin = shin * reach if look.long_lower and not bare else -1.0
    knee_slack = slack if look.long_lower else slack + 0.008
    cut = min(max(end_thigh / thigh, 0.0), 0.97)
    thigh_knots = [(0.0, 0.060 * thick + slack * 0.4), (0.5, 0.051 * thick + slack), (cut, 0.044 * thick + knee_slack), (cut + 0.01, 0.042 * thick), (1.0, 0.038 * thick)]
    if look.long_lower and not bare:
        thigh_knots = [(0.0, 0.060 * thick + slack * 0.4), (0.5, 0.051 * thick + slack), (1.0, 0.040 * thick + slack)]
    sewing.add("hip", "knee", thigh, thigh_knots, tailor.leg(sewing.tube(thigh, 0.30, (0.03, 0.03)), person, end=end_thigh, offset=0.09, shoe_from=9.0),
               caps=(0.03, 0.03), both=True, depth=1.05, order=-0.004 - behind)
    flare = slack + 0.012 * (lower.fit > 0.7)
    shin_knots = [(0.0, 0.038 * thick), (0.28, 0.041 * thick), (0.9, 0.024 * thick), (1.0, 0.023 * thick)]
    if look.long_lower and not bare:
        shin_knots = [(0.0, 0.039 * thick + slack), (0.3, 0.040 * thick + slack), (0.94, 0.028 * thick + flare), (0.96, 0.024 * thick), (1.0, 0.024)]
    shoe_from = (0.45 if outfit.boots else 0.95) * shin
    sewing.add("knee", "ankle", shin, shin_knots, tailor.leg(sewing.tube(shin, 0.24, (0.02, 0.01)), person, end=end_shin, offset=0.09 + thigh, shoe_from=shoe_from),
               caps=(0.02, 0.01), both=True, depth=1.05, order=-0.006 - behind)
    foot = sewing.tube(0.11, 0.2, (0.02, 0.02))
    sole = foot.solid(outfit.shoes)
    tailor.lay(sole, np.abs(foot.around) < 0.02, outfit.shoes * 0.7)
    sewing.add("heel", "toe", 0.11, [(0.0, 0.026), (0.5, 0.026), (1.0, 0.022)], sole, caps=(0.018, 0.018), both=True, order=-0.003, creases=0.3)

    hem_height = (0.24 - 0.13 * outfit.skirt.length if look.long_lower else 0.40 - 0.08 * outfit.skirt.length) * body.legs / 0.505
    if look.skirt:
        drop = 0.61 - hem_height
        wide = body.hip + 0.008 + 0.085 * outfit.skirt.fit * (0.7 + 0.6 * drop)
        knots = [(0.0, body.waist + 0.004), (0.25, body.hip + 0.008), (0.45, body.hip + 0.014), (1.0, wide)]
        sewing.add("waist", "skirt_hem", drop, knots, tailor.skirt(sewing.tube(drop, 0.7), person, offset=waist), depth=0.78, order=0.045)
    elif person.cut == "coat":
        hem_height = 0.44 - 0.14 * upper.length
        drop = 0.61 - hem_height
        knots = [(0.0, body.waist + loose), (0.4, body.hip + loose + 0.004), (1.0, body.hip + loose + 0.018)]
        sewing.add("waist", "skirt_hem", drop, knots, tailor.coat_tail(sewing.tube(drop, 0.7), person, offset=waist), depth=0.74, order=0.045)
    return hem_height


def _arms(sewing: _Sewing, person: Person) -> None:
    body, upper = person.body, person.outfit.upper
    long = person.attributes.long_sleeve
    slack = 0.003 + 0.010 * upper.fit
    thick = body.limb
    end = 1.0 if long else 0.165 * (0.35 + 0.50 * upper.length)
    cut = min(end / 0.165, 0.97)
    knots = [(0.0, 0.030 * thick + 0.7 * slack), (0.25, 0.033 * thick + slack), (cut, 0.030 * thick + slack + (0 if long else 0.004)), (min(cut + 0.01, 0.99), 0.028 * thick + (slack if long else 0)),
             (1.0, 0.025 * thick + (slack if long else 0))]
    sewing.add("shoulder", "elbow", 0.165, knots, tailor.sleeve(sewing.tube(0.165, 0.20, (0.03, 0.02)), person, end=end, offset=0.03), caps=(0.028, 0.02), both=True, order=0.002)
    cuff = slack if long else 0.0
    knots = [(0.0, 0.026 * thick + cuff), (0.66, 0.019 * thick + cuff), (0.70, 0.017 * thick), (0.76, 0.017), (0.88, 0.021), (1.0, 0.015)]
    sewing.add("elbow", "hand", 0.185, knots, tailor.sleeve(sewing.tube(0.185, 0.17, (0.02, 0.012)), person, end=0.128 if long else -1.0, offset=0.195),
               caps=(0.02, 0.012), both=True, order=0.004)


def _head(sewing: _Sewing, person: Person) -> float:
    """Returns the height at which long hair ends."""
    style, size, outfit = person.hair, person.body.head, person.outfit
    long = person.attributes.long_hair
    neck = sewing.tube(0.05, 0.2)
    skin = neck.solid(person.skin * np.array([0.88, 0.86, 0.86, 0.95]))
    sewing.add("collar", "neck", 0.05, [(0, 0.030), (1, 0.033)], skin, caps=(0.02, 0.02), turns=False, order=-0.002, creases=0.3)
    if person.cut == "hood" or outfit.neck == "collar":
        thick = 0.048 if person.cut == "hood" else 0.036
        cloth = sewing.tube(0.03, 0.3).solid(outfit.upper.dyes[0] * 0.9)
        sewing.add("nape", "neck", 0.035, [(0, thick), (1, thick + 0.006)], cloth, caps=(0.012, 0.012), order=-0.015, depth=1.0)
    lift = (0.004 + 0.007 * style.volume) * (long or style.short_style < 2) + 0.006 * (outfit.hat is not None)
    face = [(0.0, 0.030 + lift), (0.12, 0.043 + lift), (0.30, 0.049 + lift), (0.45, 0.050), (0.65, 0.047), (0.85, 0.037), (1.0, 0.024)]
    face = [(at, half * size) for at, half in face]
    sewing.add("head_top", "chin", 0.14 * size, face, tailor.head(sewing.tube(0.14, 0.31, (0.010, 0.012)), person), caps=(0.010, 0.012),
               depth=1.18, turns=True, creases=0.3)
    hair_end = 0.0
    mop = sewing.tube(0.2, 0.3).solid(style.reflectance)
    mop = mop * (1 + 0.12 * np.sin(np.linspace(0, 60, mop.shape[1])))[None, :, None].astype(np.float32)
    if long or (style.short_style == 1 and style.volume > 0.3):
        wide = (0.049 + 0.013 * style.volume) * size
        sewing.add("crown_back", "nape", 0.12, [(0, wide * 0.8), (0.35, wide), (1, wide * (0.95 if long else 0.75))], mop, caps=(0.012, 0.02), turns=True,
                   order=-0.010, depth=0.9, creases=0.6)
    if long:
        hair_end = 0.795 - 0.20 * style.long_length
        if style.long_style <= 1:
            wide = 0.050 + 0.014 * style.volume
            sewing.add("crown_back", "hair_end", 1.0 - hair_end, [(0, wide * 0.7), (0.2, wide), (0.7, wide * 1.02), (1, wide * 0.72)], mop, caps=(0.0, 0.02),
                       depth=0.55, order=-0.004, creases=0.8)
        else:
            thin = 0.016 + 0.012 * style.volume
            rope = mop if style.long_style == 2 else tailor.plait(sewing.tube(0.2, 0.1), person)
            sewing.add("nape", "hair_end", 0.885 - hair_end, [(0, thin), (0.4, thin * 1.15), (1, thin * 0.5)], rope, caps=(0.01, 0.01), depth=1.0, order=-0.012)
        if style.long_style == 1:
            sewing.add("lock", "lock_end", 0.93 - max(hair_end, 0.70), [(0, 0.013), (0.5, 0.019), (1, 0.012)], mop, caps=(0.01, 0.015), both=True, order=0.012)
    if outfit.hat is not None:
        sewing.add("brow", "brim", 0.06, [(0, 0.048), (0.7, 0.044), (1, 0.030)], sewing.tube(0.06, 0.2).solid(outfit.hat * 0.7), caps=(0.004, 0.006), turns=True, order=0.01,
                   depth=0.5, creases=0.2)
    return hair_end


def _bags(sewing: _Sewing, person: Person) -> None:
    bags, look = person.bags, person.attributes
    if look.backpack:
        wide = 0.088 * bags.backpack_size
        sewing.add("pack_top", "pack_bottom", 0.23, [(0, wide * 0.72), (0.25, wide * 0.92), (0.6, wide), (1, wide * 0.95)],
                   tailor.pack(sewing.tube(0.25, 0.5, (0.02, 0.02)), person), caps=(0.025, 0.02), depth=0.62, order=0.0, creases=0.6)
        strap = sewing.tube(0.16, 0.1).solid(bags.backpack * 0.8)
        sewing.add("strap", "strap_end", 0.16, [(0, 0.014), (1, 0.010)], strap, caps=(0.006, 0.004), both=True, depth=0.8, order=0.012, creases=0.2)
    if look.satchel:
        wide = 0.060 * bags.satchel_size
        tube = sewing.tube(0.13, 0.3, (0.015, 0.012))
        bag = tube.solid(bags.satchel)
        tailor.lay(bag, np.abs(tube.down - 0.06) < 0.006, bags.satchel * 0.45)
        sewing.add("satchel_top", "satchel_bottom", 0.13, [(0, wide), (1, wide * 1.05)], bag, caps=(0.012, 0.010), depth=1.25, order=0.03, creases=0.4)
        strap = sewing.tube(0.3, 0.1).solid(bags.satchel * 0.75)
        for name in ("sling_front", "sling_back"):
            sewing.add(name, f"{name}_end", 0.3, [(0, 0.011), (1, 0.011)], strap, depth=0.8, order=0.014, creases=0.2)
