"""From a person to the strips that make the picture: where each begins and ends, how wide it is, what it wears.

All of it is computed once for an identity and a set of bags; a picture only moves the joints and lights the strips.
"""

from __future__ import annotations

from vireid.synthetic import clothes, extras
from vireid.synthetic.people import Attributes, Person
from vireid.synthetic.sewing import Figure, Sewing


def dress(person: Person, attributes: Attributes | None = None, *, rows: int = 46, columns: int = 64) -> Figure:
    """`attributes`: those of one camera (bags come and go); otherwise the person's own."""
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
