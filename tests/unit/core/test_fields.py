from __future__ import annotations

from dataclasses import fields

from vireid.core.fields import ATTRIBUTE_FIELDS, BATCH_FIELDS, FIELDS, MODEL_FIELDS
from vireid.core.types import Batch

LETTERS = {"R", "C", "H", "W", "D", "I", "A", "P", "A|1"}


def test_every_shape_is_spelt_in_the_letters_of_the_project():
    for name, field in (FIELDS | BATCH_FIELDS).items():
        assert set(field.shape) <= LETTERS, name
        assert field.shape[0] == "R", name
        assert field.meaning


def test_fields_of_the_batch_are_those_of_the_class():
    assert {field.name for field in fields(Batch)} - {"images", "visible", "host"} == set(BATCH_FIELDS)


def test_no_name_means_two_things():
    assert not set(FIELDS) & set(BATCH_FIELDS)
    assert set(FIELDS) >= MODEL_FIELDS
    assert set(BATCH_FIELDS) >= ATTRIBUTE_FIELDS
