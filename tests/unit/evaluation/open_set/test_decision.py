from __future__ import annotations

import json

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.evaluation.open_set import DecisionRule, HeldoutSearches, Rate, clopper_pearson
from vireid.evaluation.open_set.decision import BOOTSTRAP, EXACT


def searches(number=400, people=40, separation=2.0):
    rng = np.random.default_rng(0)
    same = np.arange(2000) % 5 == 0
    scores = rng.normal(size=2000) + separation * same
    return HeldoutSearches(rng.normal(size=number), np.arange(number) % people, 20, 0, scores, same)


def test_limits_keep_the_wanted_rates():
    heldout = searches()
    rule = DecisionRule.choose(heldout, fpir=(0.05, 0.2, 0.1))
    assert [point.wanted for point in rule.points] == [0.2, 0.1, 0.05]
    for point in rule.points:
        accepted = rule.accepts(heldout.top_scores, point.wanted)
        assert accepted.mean() == point.fpir.mean == pytest.approx(point.wanted)
        low, high = point.fpir.interval
        assert low < point.fpir.mean < high
        assert point.fpir.kind == BOOTSTRAP
    assert rule.point().wanted == 0.05
    assert (rule.searches, rule.identities, rule.enrolled) == (400, 40, 20)


def test_sure_limits_are_stricter():
    heldout = searches()
    estimate, sure = (DecisionRule.choose(heldout, fpir=(0.1,), sure=sure).points[0] for sure in (False, True))
    assert sure.limit > estimate.limit
    assert sure.sure
    with pytest.raises(DataError, match="299 are needed"):
        DecisionRule.choose(searches(number=100), fpir=(0.01,), sure=True)


def test_a_rate_without_an_error_has_the_interval_of_its_identities():
    identities = np.repeat(np.arange(30), 4)
    none, every = (Rate.of(np.full(120, value), identities, 0.95) for value in (False, True))
    assert (none.mean, none.kind, none.interval) == (0.0, EXACT, clopper_pearson(0, 30))
    assert (every.mean, every.interval) == (1.0, clopper_pearson(30, 30))


@pytest.mark.parametrize("calibration", ["logistic", "isotonic", None])
def test_json(calibration):
    rule = DecisionRule.choose(
        searches(), fpir=(0.1, 0.3), calibration=calibration, conditions={"data": "RegDB"}
    ).of_model("abc")
    again = DecisionRule.from_json(json.loads(json.dumps(rule.to_json())))
    assert again == rule
    assert again.fingerprint == "abc"
    scores = np.linspace(-2, 4, 7)
    if calibration is None:
        assert again.probability(scores) is None
    else:
        p = again.probability(scores)
        np.testing.assert_array_equal(p, rule.probability(scores))
        assert (np.diff(p) >= 0).all()
        assert 0 <= p[0] < p[-1] <= 1


def test_scores_that_cannot_be_calibrated_leave_a_rule_with_thresholds():
    rule = DecisionRule.choose(searches(separation=-2.0))
    assert rule.calibration is None
    assert any("larger scores are not more similar" in note for note in rule.notes())
    assert len(rule.points) == 1


def test_rates_below_the_resolution_are_noted():
    rule = DecisionRule.choose(searches(people=40), fpir=(0.1, 0.05))
    assert [note.split(" cannot")[0] for note in rule.notes()] == ["an FPIR of 5 %"]
    assert any("7.5 % (3 / identities)" in line for line in rule.lines())


def test_errors():
    rule = DecisionRule.choose(searches(), fpir=(0.1, 0.3))
    with pytest.raises(ArgumentError, match=r"fpir = 0.2 has no threshold; this model has those of 0.3(,| and) 0.1"):
        rule.point(0.2)
    for rates in ((), (0.0,), (1.0,), (0.1, 2.0)):
        with pytest.raises(ArgumentError, match="one or more rates in"):
            DecisionRule.choose(searches(), fpir=rates)
    with pytest.raises(ArgumentError, match="calibration must be"):
        DecisionRule.choose(searches(), calibration="linear")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("points"), "'points' is missing"),
        (lambda v: v.update(points=[{}]), "'wanted' is missing"),
        (lambda v: v.update(calibration={"kind": "linear"}), "logistic or isotonic"),
        (lambda v: v.update(searches="many"), "invalid literal"),
        (lambda v: v.update(conditions=3), "has no attribute 'items'"),
    ],
)
def test_damaged_values(change, words):
    values = DecisionRule.choose(searches()).to_json()
    change(values)
    with pytest.raises(DataError, match=words):
        DecisionRule.from_json(values)
