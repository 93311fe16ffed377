"""Synthetic people seen by visible and near-infrared cameras, written in the layouts of the real data sets."""

from __future__ import annotations

from vireid.data.synthetic.layouts import LAYOUTS
from vireid.data.synthetic.people import Attributes, Person, sample_person
from vireid.data.synthetic.world import World
from vireid.data.synthetic.write import Recipe, write_dataset

__all__ = ["LAYOUTS", "Attributes", "Person", "Recipe", "World", "sample_person", "write_dataset"]
