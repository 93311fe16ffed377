from pathlib import Path

import pytest

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.heldout import hold_out, relabelled

SAMPLES = [Sample(Path(f"{row}.jpg"), row % 7, Modality(row % 2), 1) for row in range(28)]


def people(rows):
    return {SAMPLES[row].identity for row in rows}


def test_every_image_is_on_one_side_and_no_person_on_both():
    staying, held = hold_out(SAMPLES, identities=3, seed=0)
    assert sorted(staying + held) == list(range(28))
    assert len(people(held)) == 3
    assert not people(held) & people(staying)


def test_the_draw_is_a_function_of_the_seed_and_the_labels():
    first = hold_out(SAMPLES, identities=3, seed=0)[1]
    backwards = hold_out(SAMPLES[::-1], identities=3, seed=0)[1]
    assert people(len(SAMPLES) - 1 - row for row in backwards) == people(first)
    assert any(people(hold_out(SAMPLES, identities=3, seed=seed)[1]) != people(first) for seed in range(1, 5))


def test_nobody_is_held_out_unless_asked():
    assert hold_out(SAMPLES, identities=0, seed=0) == (list(range(28)), [])


def test_labels_of_those_who_stay_are_contiguous_in_their_old_order():
    staying = [SAMPLES[row] for row in hold_out(SAMPLES, identities=3, seed=0)[0]]
    new = relabelled(staying)
    assert {sample.identity for sample in new} == {0, 1, 2, 3}
    pairs = {(old.identity, sample.identity) for old, sample in zip(staying, new, strict=True)}
    assert sorted(pairs) == list(zip(sorted({old for old, _ in pairs}), range(4)))
    assert [sample.path for sample in new] == [sample.path for sample in staying]


def test_two_people_must_stay():
    hold_out(SAMPLES, identities=5, seed=0)
    with pytest.raises(DataError) as error:
        hold_out(SAMPLES, identities=6, seed=0)
    assert str(error.value) == (
        "HELDOUT_IDENTITIES = 6, but the training set has only 7 identities and at least two must remain;"
        " set it to 5 or less"
    )
