"""Draw head, hair, cap and bags."""

from __future__ import annotations

from typing import Any

import numpy as np

from vireid.synthetic import tailor
from vireid.synthetic.people import Person
from vireid.synthetic.sewing import Sewing


def head(sewing: Sewing, person: Person) -> float:
    """Add the head with hair and cap; return the height at which long hair ends."""
    style, size, outfit = person.hair, person.body.head, person.outfit
    long = person.attributes.long_hair
    throat = sewing.tube(0.05, 0.2).solid(person.skin * np.array([0.88, 0.86, 0.86, 0.95]))
    sewing.add("collar neck", 0.05, [(0, 0.030), (1, 0.033)], throat, caps=(0.02, 0.02), order=-0.002, creases=0.3)
    if person.cut == "hood" or outfit.neck == "collar":
        thick = 0.048 if person.cut == "hood" else 0.036
        cloth = sewing.tube(0.03, 0.3).solid(outfit.upper.dyes[0] * 0.9)
        sewing.add("nape neck", 0.035, [(0, thick), (1, thick + 0.006)], cloth, caps=(0.012, 0.012), order=-0.015)
    lift = (0.004 + 0.007 * style.volume) * (long or style.short_style < 2) + 0.006 * (outfit.hat is not None)
    face = [(0.0, 0.030 + lift), (0.12, 0.043 + lift), (0.30, 0.049 + lift)]
    face += [(0.45, 0.050), (0.65, 0.047), (0.85, 0.037), (1.0, 0.024)]
    knots = [(at, half * size) for at, half in face]
    picture = tailor.head(sewing.tube(0.14, 0.31, (0.010, 0.012)), person)
    caps = (0.010, 0.012)
    sewing.add("head_top chin", 0.14 * size, knots, picture, caps=caps, depth=1.18, turns=True, creases=0.3)
    if outfit.hat is not None:
        brim = sewing.tube(0.06, 0.2).solid(outfit.hat * 0.7)
        knots = [(0, 0.048), (0.7, 0.044), (1, 0.030)]
        options: dict[str, Any] = {"turns": True, "order": 0.01, "depth": 0.5, "creases": 0.2}
        sewing.add("brow brim", 0.06, knots, brim, caps=(0.004, 0.006), **options)
    return _hair(sewing, person)


def _hair(sewing: Sewing, person: Person) -> float:
    """Add hair outside of the head: its back, loose hair, locks in front of the shoulders, tail or plait."""
    style, size, long = person.hair, person.body.head, person.attributes.long_hair
    mop = sewing.tube(0.2, 0.3).solid(style.reflectance)
    mop = mop * (1 + 0.12 * np.sin(np.linspace(0, 60, mop.shape[1])))[None, :, None].astype(np.float32)
    if long or (style.short_style == 1 and style.volume > 0.3):
        wide = (0.049 + 0.013 * style.volume) * size
        knots = [(0, wide * 0.8), (0.35, wide), (1, wide * (0.95 if long else 0.75))]
        options: dict[str, Any] = {"turns": True, "order": -0.010, "depth": 0.9, "creases": 0.6}
        sewing.add("crown_back nape", 0.12, knots, mop, caps=(0.012, 0.02), **options)
    if not long:
        return 0.0
    end = 0.795 - 0.20 * style.long_length
    if style.long_style <= 1:
        wide = 0.050 + 0.014 * style.volume
        knots = [(0, wide * 0.7), (0.2, wide), (0.7, wide * 1.02), (1, wide * 0.72)]
        options = {"order": -0.004, "depth": 0.55, "creases": 0.8}
        sewing.add("crown_back hair_end", 1.0 - end, knots, mop, caps=(0.0, 0.02), **options)
    else:
        thin = 0.016 + 0.012 * style.volume
        rope = mop if style.long_style == 2 else tailor.plait(sewing.tube(0.2, 0.1), person)
        knots = [(0, thin), (0.4, thin * 1.15), (1, thin * 0.5)]
        sewing.add("nape hair_end", 0.885 - end, knots, rope, caps=(0.01, 0.01), order=-0.012)
    if style.long_style == 1:
        knots = [(0, 0.013), (0.5, 0.019), (1, 0.012)]
        length = 0.93 - max(end, 0.70)
        sewing.add("lock lock_end", length, knots, mop, caps=(0.01, 0.015), both=True, order=0.012)
    return end


def bags(sewing: Sewing, person: Person) -> None:
    """Add the backpack with two straps and the satchel with its sling."""
    style, look = person.bags, person.attributes
    if look.backpack:
        wide = 0.088 * style.backpack_size
        knots = [(0, wide * 0.72), (0.25, wide * 0.92), (0.6, wide), (1, wide * 0.95)]
        picture = tailor.pack(sewing.tube(0.25, 0.5, (0.02, 0.02)), person)
        sewing.add("pack_top pack_bottom", 0.23, knots, picture, caps=(0.025, 0.02), depth=0.62, creases=0.6)
        strap = sewing.tube(0.16, 0.1).solid(style.backpack * 0.8)
        options: dict[str, Any] = {"both": True, "depth": 0.8, "order": 0.012, "creases": 0.2}
        sewing.add("strap strap_end", 0.16, [(0, 0.014), (1, 0.010)], strap, caps=(0.006, 0.004), **options)
    if look.satchel:
        wide = 0.060 * style.satchel_size
        tube = sewing.tube(0.13, 0.3, (0.015, 0.012))
        picture = tube.solid(style.satchel)
        tailor.lay(picture, np.abs(tube.down - 0.06) < 0.006, style.satchel * 0.45)
        options = {"depth": 1.25, "order": 0.03, "creases": 0.4}
        knots = [(0, wide), (1, wide * 1.05)]
        sewing.add("satchel_top satchel_bottom", 0.13, knots, picture, caps=(0.012, 0.010), **options)
        strap = sewing.tube(0.3, 0.1).solid(style.satchel * 0.75)
        for name in ("sling_front", "sling_back"):
            knots = [(0, 0.011), (1, 0.011)]
            sewing.add(f"{name} {name}_end", 0.3, knots, strap, depth=0.8, order=0.014, creases=0.2)
