from __future__ import annotations

import pytest

from vireid.core import registries
from vireid.core.registry import Registry


@pytest.fixture
def losses() -> Registry:
    return Registry("loss")


def test_a_class_comes_back_unchanged_under_its_own_name(losses):
    class Mean: ...

    assert losses.register(Mean) is Mean
    assert losses.get("Mean").target is Mean
    assert "Mean" in losses
    assert list(losses) == losses.names() == ["Mean"]
    assert len(losses) == 1


def test_a_taken_name_names_both_modules(losses):
    @losses.register
    class Mean: ...

    other = type("Mean", (), {"__module__": "my_project.losses"})
    with pytest.raises(ValueError, match=r"the loss name 'Mean' of my_project\.losses is taken by .*test_registry"):
        losses.register(other)
    assert losses.get("Mean").target is Mean


def test_an_unknown_name_gets_the_nearest_and_all(losses):
    for name in ("BatchHardTriplet", "HeteroCenterTriplet"):
        losses.register(type(name, (), {}))
    with pytest.raises(KeyError) as error:
        losses.get("HeteroCentreTriplet")
    assert error.value.args[0] == (
        "no loss is named 'HeteroCentreTriplet'; did you mean 'HeteroCenterTriplet'?"
        " Known: BatchHardTriplet, HeteroCenterTriplet"
    )
    with pytest.raises(KeyError, match="no loss is named 'x'; Known: BatchHardTriplet"):
        losses.get("x")


def test_an_empty_registry_says_none(losses):
    assert losses.unknown("x") == "no loss is named 'x'; Known: none"


def test_slots_are_parameters_that_are_components(losses):
    stages = Registry("stage")

    @losses.register(stages=stages)
    class Wrapper:
        def __init__(self, *, stages, depth=1): ...

    assert losses.get("Wrapper").slots == {"stages": stages}
    assert list(losses.get("Wrapper").parameters()) == ["stages", "depth"]


def test_a_slot_without_a_parameter_is_refused(losses):
    with pytest.raises(ValueError, match=r"Wrapper has no parameter \['stage'\] to make a slot of"):

        @losses.register(stage=Registry("stage"))
        class Wrapper:
            def __init__(self, *, stages): ...

    assert "Wrapper" not in losses


def test_all_holds_every_registry_by_its_name():
    assert registries.ALL["LOSSES"] is registries.LOSSES
    assert len(registries.ALL) == len({registry.kind for registry in registries.ALL.values()}), "a kind is used twice"
