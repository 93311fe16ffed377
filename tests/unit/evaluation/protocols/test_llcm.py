from __future__ import annotations

import random

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.core.types import Modality
from vireid.evaluation import LLCMProtocol, LLCMReleasedTransposed

VIS, NIR = Modality.VISIBLE, Modality.INFRARED
CAMERAS = {VIS: (1, 2, 3, 9), NIR: (1, 2, 4, 9)}


@pytest.fixture
def table(table_of):
    rng = np.random.default_rng(1)
    images = {(m, i, c): int(rng.integers(2, 6)) for m in Modality for i in (4, 30, 501) for c in CAMERAS[m]}
    del images[VIS, 30, 9], images[NIR, 4, 1]
    return table_of(images)


def released_draw(table, modality, trial):
    """The published loop, with the global generator."""
    state = random.getstate()
    random.seed(trial)
    picked = []
    for identity in sorted(set(table.labels.tolist())):
        for camera in range(1, 10):
            seen = (table.labels == identity) & (table.cameras == camera) & (table.modality == modality)
            if seen.any():
                picked.append(random.choice(np.flatnonzero(seen).tolist()))
    random.setstate(state)
    return picked


def junk_by_hand(table, trial):
    return [
        [table.labels[q] == table.labels[g] and table.cameras[q] == table.cameras[g] for g in trial.gallery]
        for q in trial.query
    ]


@pytest.mark.parametrize(
    ("direction", "query", "gallery"), [("infrared_to_visible", NIR, VIS), ("visible_to_infrared", VIS, NIR)]
)
def test_all_of_one_modality_ask_and_drawn_ones_of_the_other_answer(table, direction, query, gallery):
    trials = list(LLCMProtocol(direction=direction).trials(table))
    assert [trial.name for trial in trials] == [f"trial {t}" for t in range(10)]
    for number, trial in enumerate(trials):
        assert trial.query.tolist() == np.flatnonzero(table.modality == query).tolist()
        assert trial.gallery.tolist() == released_draw(table, gallery, number)
        junk = trial.junk(trial.query, trial.gallery)
        np.testing.assert_array_equal(junk, junk_by_hand(table, trial))
        assert junk.any()


def test_the_released_transposition_exchanges_the_roles(table):
    protocol = LLCMReleasedTransposed()
    drawn = set()
    for number, trial in enumerate(protocol.trials(table)):
        assert trial.query.tolist() == released_draw(table, NIR, number)
        assert trial.gallery.tolist() == np.flatnonzero(table.modality == VIS).tolist()
        np.testing.assert_array_equal(trial.junk(trial.query, trial.gallery), junk_by_hand(table, trial))
        drawn |= set(trial.query.tolist())
    assert protocol.query_rows(table).tolist() == sorted(drawn)


def test_the_two_say_which_they_are():
    obvious, released = LLCMProtocol(direction="visible_to_infrared").conditions, LLCMReleasedTransposed().conditions
    assert obvious["protocol"] == "LLCM"
    assert obvious["direction"] == "visible to infrared"
    assert "llcm_v2i_released" in released["protocol"]
    assert released["direction"] == "infrared to visible"
    assert LLCMProtocol().conditions["direction"] == "infrared to visible"
    assert LLCMProtocol().metric == LLCMReleasedTransposed().metric == "identity"


@pytest.mark.parametrize("protocol", [LLCMProtocol, LLCMReleasedTransposed])
def test_trials_must_be_some(protocol):
    with pytest.raises(UserError, match="trials must be at least 1, got 0"):
        protocol(trials=0)
