from __future__ import annotations

import pytest

from vireid.core.types import Progress
from vireid.losses.schedules import EpochWindow, InverseEpochLoss, LinearRamp


def test_the_ramp_ends_at_1():
    ramp = LinearRamp(epochs=4)
    assert [ramp(Progress(epoch=e)) for e in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]


def test_the_ramp_has_a_length():
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        LinearRamp(epochs=0)


def test_windows_follow_one_another():
    first, then = EpochWindow(stop=6), EpochWindow(start=6)
    factors = [(first(Progress(epoch=e)), then(Progress(epoch=e))) for e in (0, 5, 6, 99)]
    assert factors == [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)]


@pytest.mark.parametrize(("window", "message"), [({"start": -1}, "start must be"), ({"start": 3, "stop": 3}, "stop")])
def test_a_window_without_epochs_is_refused(window, message):
    with pytest.raises(ValueError, match=message):
        EpochWindow(**window)


def test_inverse_epoch_loss_is_0_in_the_first_epoch():
    assert InverseEpochLoss(of=["id"])(Progress()) == 0.0


def test_inverse_epoch_loss_adds_the_means_of_its_terms():
    schedule = InverseEpochLoss(of=["id", "mutual"])
    last_epoch = {"loss": 9.0, "id": 1.5, "mutual/id": 0.25, "mutual/kl": 0.25, "mutual2": 7.0}
    assert schedule(Progress(epoch=3, last_epoch=last_epoch)) == 1 / (1 + 2.0)


def test_inverse_epoch_loss_without_a_known_term_says_so():
    with pytest.raises(ValueError, match=r"the last epoch has no mean of the term .idd. \(means: id\)"):
        InverseEpochLoss(of=["idd"])(Progress(epoch=1, last_epoch={"id": 1.0}))


@pytest.mark.parametrize("wrong", [[], "id"])
def test_inverse_epoch_loss_wants_names(wrong):
    with pytest.raises(ValueError, match="of must be a list of at least one term"):
        InverseEpochLoss(of=wrong)
