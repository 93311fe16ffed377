"""Draw trunk, legs, skirt and arms with their clothes."""

from __future__ import annotations

from typing import Any

import numpy as np

from vireid.synthetic import tailor
from vireid.synthetic.people import Person
from vireid.synthetic.sewing import Knots, Sewing

NECK, WAIST = 0.845, 0.610  # heights of the joints the trunk and the skirt hang on, statures
TO_WAIST = NECK - WAIST


def trunk(sewing: Sewing, person: Person) -> None:
    """Add the trunk in the upper garment, with its hem and the visible part of the lower garment."""
    body, outfit, look = person.body, person.outfit, person.attributes
    length = NECK - (body.legs - 0.045)
    tucked = outfit.upper.length < 0.3 or (look.skirt and not outfit.one_piece)
    hem = TO_WAIST if tucked else TO_WAIST + 0.03 + 0.13 * outfit.upper.length
    loose = _looseness(person)
    bust = 0.007 if look.female else 0.0
    knots = [
        (0.0, 0.036),
        (0.035, 0.056),
        (0.06, 0.70 * body.shoulder),
        (0.10, 0.88 * body.shoulder),
        (0.16, body.shoulder - 0.010),
        (0.30, body.chest + bust + loose),
        (TO_WAIST / length, body.waist + loose * (0.5 if tucked else 1.0)),
        (0.86, body.hip + (0.004 if tucked else loose)),
        (1.0, body.hip * 0.93),
    ]
    caps = (0.0, 0.02)
    picture = tailor.trunk(sewing.tube(length, 0.66, caps), person, hem=hem, waist=TO_WAIST)
    sewing.add("neck crotch", length, knots, picture, caps=caps, depth=body.depth)


def _looseness(person: Person) -> float:
    thick_cloth = person.cut in ("hood", "coat", "open_jacket")
    return 0.004 + (0.022 if thick_cloth else 0.013) * person.outfit.upper.fit


def legs(sewing: Sewing, person: Person) -> None:
    """Add thighs, shins and feet: bare, in shorts or in long trousers."""
    body, outfit, look = person.body, person.outfit, person.attributes
    thigh, shin, fit = 0.475 * body.legs, 0.440 * body.legs, outfit.lower.fit
    under_cloth = look.skirt or person.cut == "coat"
    order = -0.25 if under_cloth else 0.0  # a striding thigh stays under the cloth
    thick = 0.92 + 0.08 * body.limb if look.skirt else body.limb
    thigh_end, shin_end = -1.0, -1.0  # how far the trouser leg reaches down each
    if look.skirt:
        knots = _bare_thigh(thick)
        below = _bare_shin(thick)
    elif look.long_lower:
        slack = 0.004 + 0.020 * fit
        thigh_end, shin_end = 1.0, 0.95 * shin
        knots = [(0.0, 0.060 * thick + slack * 0.4), (0.5, 0.051 * thick + slack), (1.0, 0.040 * thick + slack)]
        hem = 0.028 * thick + slack + 0.012 * (fit > 0.7)
        below = [(0.0, 0.039 * thick + slack), (0.3, 0.040 * thick + slack), (0.94, hem), (0.96, 0.024), (1.0, 0.024)]
    else:
        slack = 0.004 + 0.020 * fit
        cut = 0.42 + 0.40 * outfit.lower.length
        thigh_end = cut * thigh
        top = 0.060 * thick + slack * 0.4
        wide = 0.044 * thick + slack + 0.008
        knots = [(0.0, top), (cut - 0.01, wide), (cut, 0.043 * thick), (1.0, 0.038 * thick)]
        below = _bare_shin(thick)
    options: dict[str, Any] = {"both": True, "depth": 1.05}
    tube = sewing.tube(thigh, 0.30, (0.03, 0.03))
    picture = tailor.leg(tube, person, end=thigh_end, offset=0.09, shoe_from=9.0)
    sewing.add("hip knee", thigh, knots, picture, caps=(0.03, 0.03), order=order - 0.004, **options)
    tube = sewing.tube(shin, 0.24, (0.02, 0.01))
    shoe_from = (0.45 if outfit.boots else 0.95) * shin
    picture = tailor.leg(tube, person, end=shin_end, offset=0.09 + thigh, shoe_from=shoe_from)
    sewing.add("knee ankle", shin, below, picture, caps=(0.02, 0.01), order=order - 0.006, **options)
    _feet(sewing, person)


def _bare_thigh(thick: float) -> Knots:
    return [(0.0, 0.060 * thick), (0.5, 0.051 * thick), (1.0, 0.038 * thick)]


def _bare_shin(thick: float) -> Knots:
    return [(0.0, 0.038 * thick), (0.28, 0.041 * thick), (0.9, 0.024 * thick), (1.0, 0.023 * thick)]


def _feet(sewing: Sewing, person: Person) -> None:
    shoes = person.outfit.shoes
    tube = sewing.tube(0.11, 0.2, (0.018, 0.018))
    picture = tube.solid(shoes)
    tailor.lay(picture, np.abs(tube.around) < 0.02, shoes * 0.7)
    knots = [(0.0, 0.026), (0.5, 0.026), (1.0, 0.022)]
    sewing.add("heel toe", 0.11, knots, picture, caps=(0.018, 0.018), both=True, order=-0.003, creases=0.3)


def skirt_or_tails(sewing: Sewing, person: Person) -> float:
    """Add a skirt or the lower half of a coat, if worn; return the height of the hem."""
    body, outfit, look = person.body, person.outfit, person.attributes
    if look.skirt:
        cut = outfit.skirt.length
        hem = (0.24 - 0.13 * cut if look.long_lower else 0.40 - 0.08 * cut) * body.legs / 0.505
        drop = WAIST - hem
        wide = body.hip + 0.008 + 0.085 * outfit.skirt.fit * (0.7 + 0.6 * drop)
        knots = [(0.0, body.waist + 0.004), (0.25, body.hip + 0.008), (0.45, body.hip + 0.014), (1.0, wide)]
        picture = tailor.skirt(sewing.tube(drop, 0.7), person, offset=TO_WAIST)
        sewing.add("waist skirt_hem", drop, knots, picture, depth=0.78, order=0.045)
        return hem
    if person.cut == "coat":
        hem = 0.44 - 0.14 * outfit.upper.length
        drop, loose = WAIST - hem, _looseness(person)
        knots = [(0.0, body.waist + loose), (0.4, body.hip + loose + 0.004), (1.0, body.hip + loose + 0.018)]
        picture = tailor.coat_tail(sewing.tube(drop, 0.7), person, offset=TO_WAIST)
        sewing.add("waist skirt_hem", drop, knots, picture, depth=0.74, order=0.045)
        return hem
    return WAIST


def arms(sewing: Sewing, person: Person) -> None:
    """Add upper arms, forearms and hands, in short or long sleeves."""
    thick, upper, long = person.body.limb, person.outfit.upper, person.attributes.long_sleeve
    slack = 0.003 + 0.010 * upper.fit
    cuff = slack if long else 0.0
    end = 1.0 if long else 0.165 * (0.35 + 0.50 * upper.length)
    cut = min(end / 0.165, 0.97)
    knots = [(0.0, 0.030 * thick + 0.7 * slack), (0.25, 0.033 * thick + slack)]
    knots += [(cut, 0.030 * thick + slack + (0 if long else 0.004)), (cut + 0.01, 0.028 * thick + cuff)]
    knots += [(1.0, 0.025 * thick + cuff)]
    picture = tailor.sleeve(sewing.tube(0.165, 0.20, (0.028, 0.02)), person, end=end, offset=0.03)
    sewing.add("shoulder elbow", 0.165, knots, picture, caps=(0.028, 0.02), both=True, order=0.002)
    knots = [(0.0, 0.026 * thick + cuff), (0.66, 0.019 * thick + cuff), (0.70, 0.017 * thick)]
    knots += [(0.76, 0.017), (0.88, 0.021), (1.0, 0.015)]
    picture = tailor.sleeve(sewing.tube(0.185, 0.17, (0.02, 0.012)), person, end=0.128 if long else -1.0, offset=0.195)
    sewing.add("elbow hand", 0.185, knots, picture, caps=(0.02, 0.012), both=True, order=0.004)
