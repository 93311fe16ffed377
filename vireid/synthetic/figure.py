"""Build the figure of a person: textured strips between joints.

A figure is computed once for an identity and its bags; an image only moves the joints and shades the strips.
"""

from __future__ import annotations

from vireid.synthetic import clothes, extras
from vireid.synthetic.people import Attributes, Person
from vireid.synthetic.sewing import Figure, Sewing


def dress(person: Person, attributes: Attributes | None = None, *, rows: int = 46, columns: int = 64) -> Figure:
    """Build the figure of a person.

    Args:
        person: The identity.
        attributes: Attributes in one camera, whose bags replace those of the person; None: the bags of the person.
        rows: Texture rows of a strip.
        columns: Texture columns of a strip.
    """
    if attributes is not None and attributes != person.attributes:
        person = person.but(backpack=attributes.backpack, satchel=attributes.satchel)
    sewing = Sewing(rows, columns)
    clothes.trunk(sewing, person)
    clothes.legs(sewing, person)
    hem = clothes.skirt_or_tails(sewing, person)
    clothes.arms(sewing, person)
    hair_end = extras.head(sewing, person)
    extras.bags(sewing, person)
    return sewing.finish(person, hem=hem, hair_end=hair_end)
