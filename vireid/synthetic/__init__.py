"""Generator of synthetic identities in visible and near-infrared images, in the layouts of the real datasets."""

from __future__ import annotations

from vireid.synthetic.layouts import LAYOUTS
from vireid.synthetic.people import Attributes, Person, sample_person
from vireid.synthetic.world import World
from vireid.synthetic.write import Recipe, write_dataset

__all__ = ["LAYOUTS", "Attributes", "Person", "Recipe", "World", "sample_person", "write_dataset"]
