import inspect

import pytest

import vireid.config.check  # noqa: F401  fills the registries
from vireid.config.schema import BY_PATH, SLOTS, is_whole, slot_of_node


def test_nodes_of_slots():
    assert slot_of_node(("SOLVER",)) is BY_PATH[("SOLVER",)]
    assert slot_of_node(("MODEL", "HEADS", "ID")) is BY_PATH[("MODEL", "HEADS")]
    assert slot_of_node(("MODEL", "HEADS")) is None
    assert slot_of_node(("MODEL",)) is None


def test_only_maps_with_dots_in_their_keys_are_given_whole():
    assert is_whole(("SOLVER", "LR_SCALE"))
    assert not is_whole(("OBJECTIVE", "ID", "USES"))
    assert not is_whole(("SEED",))


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.key)
def test_no_component_has_an_argument_that_the_slot_keeps_for_itself(slot):
    for name in slot.registry:
        parameters = inspect.signature(slot.registry.get(name).target).parameters
        assert not {key.upper() for key in parameters} & ({"NAME"} | set(slot.extras)), name
