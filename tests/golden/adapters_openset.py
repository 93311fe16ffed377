"""Golden adapters of verification, open-set identification, thresholds and calibration."""

from __future__ import annotations

import numpy as np
from runner import Case, adapter

from vireid.evaluation.open_set import (
    IsotonicCalibration,
    LogisticCalibration,
    bootstrap_identities,
    choose_threshold,
    clopper_pearson,
    enrolled_identities,
    evaluate_open_set,
    evaluate_verification,
    reliability,
    searches_needed,
)
from vireid.evaluation.open_set.calibration import cllr
from vireid.evaluation.open_set.identification import Searches, missed
from vireid.evaluation.open_set.thresholds import sure_errors

RATES = {"rtol": 1e-9, "atol": 1e-12}


def same(case: Case, **values) -> None:
    for name, value in values.items():
        np.testing.assert_allclose(value, case.arrays[name], **RATES, err_msg=name)


def matrices(case: Case) -> tuple:
    arrays = case.arrays
    return arrays["similarity"], arrays["q_ids"], arrays["g_ids"], arrays["junk"]


@adapter("saai", "openset_verification")
def verification(case: Case) -> None:
    params = case.params
    result = evaluate_verification(*matrices(case), unit=params["unit"], fusion=params["fusion"], fmr=params["targets"])
    same(case, thresholds=result.thresholds, fmr=result.fmr, fnmr=result.fnmr, eer=result.eer, auc=result.auc)
    same(case, n_mated=result.mated, n_nonmated=result.non_mated)
    points = result.points
    same(case, limit_at=[p.limit for p in points], fmr_at=[p.fmr for p in points], fnmr_at=[p.fnmr for p in points])


@adapter("saai", "openset_identification")
def identification(case: Case) -> None:
    params = case.params
    result = evaluate_open_set(*matrices(case), fusion=params["fusion"], fpir=params["targets"], ranks=params["ranks"])
    searches, points = result.searches, result.points
    same(case, role=searches.role, mate_score=searches.mate_score, mate_rank=searches.mate_rank)
    same(case, top_score=searches.top_score, thresholds=result.thresholds, fpir=result.fpir, fnir=result.fnir)
    same(case, limit_at=[p.limit for p in points], fpir_at=[p.fpir for p in points])
    same(case, fnir_at=np.array([p.fnir for p in points]).T, misidentified_at=[p.misidentified for p in points])


@adapter("saai", "openset_threshold")
def threshold(case: Case) -> None:
    arrays, params = case.arrays, case.params
    target, confidence, scores = params["target"], params["confidence"], arrays["heldout_scores"]
    chosen = choose_threshold(scores, arrays["heldout_ids"], fpir=target, confidence=confidence)
    same(case, k=chosen.allowed, limit=chosen.limit, heldout_fpir=chosen.realized)
    intervals = {"heldout_cp": chosen.interval}
    allowed = sure_errors(len(scores), target, confidence)
    limit = np.sort(scores)[::-1][allowed] if allowed >= 0 else np.inf
    same(case, k_sure=allowed, limit_sure=limit, n_needed=searches_needed(target, confidence))
    if allowed >= 0:
        assert choose_threshold(scores, fpir=target, confidence=confidence, sure=True).limit == limit
    alarms = arrays["nonmated_scores"] > chosen.limit
    mates = arrays["mate_scores"]
    searches = Searches(np.ones(len(mates), int), mates, mates, arrays["mate_ranks"])
    misses = missed(searches, chosen.limit)
    for name, errors, ids in (("fpir", alarms, arrays["nonmated_ids"]), ("fnir", misses, arrays["mated_ids"])):
        same(case, **{name: errors.mean()})
        intervals[f"{name}_cp"] = clopper_pearson(int(errors.sum()), len(errors), confidence)
        intervals[f"{name}_bootstrap"] = bootstrap_identities(
            errors, ids, confidence=confidence, resamples=params["resamples"], seed=params["seed"]
        )
    for name, interval in intervals.items():
        np.testing.assert_allclose(interval, arrays[name], rtol=1e-7, err_msg=name)


@adapter("saai", "openset_calibration")
def calibration(case: Case) -> None:
    arrays, params = case.arrays, case.params
    scores, labels, test = arrays["scores"], arrays["labels"], arrays["test_scores"]
    fitted = {
        method: LogisticCalibration.fit(scores, labels, method=method, prior=params["prior"])
        for method in ("ml", "platt", "prior_weighted")
    }
    for method, each in fitted.items():
        np.testing.assert_allclose((each.slope, each.offset), arrays[method], rtol=1e-6, err_msg=method)
    for method in ("ml", "platt"):
        np.testing.assert_allclose(fitted[method](test), arrays[f"p_{method}"], rtol=0, atol=1e-7)
    llr = fitted["prior_weighted"].log_likelihood_ratio(test)
    np.testing.assert_allclose(llr, arrays["llr"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(cllr(llr, arrays["test_labels"]), arrays["cllr"], rtol=1e-6)
    isotonic = IsotonicCalibration.fit(scores, labels)
    same(case, iso_x=isotonic.scores, iso_y=isotonic.probabilities, p_isotonic=isotonic(test))
    for name, p in (("platt", fitted["platt"](test)), ("isotonic", isotonic(test))):
        result = reliability(p, arrays["test_labels"], bins=params["bins"])
        np.testing.assert_allclose(result.ece, arrays[f"ece_{name}"], rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.brier, arrays[f"brier_{name}"], rtol=0, atol=1e-7)


@adapter("saai", "openset_reliability")
def reliability_in_bins(case: Case) -> None:
    p, y = case.arrays["p"], case.arrays["y"]
    for binning in ("width", "mass"):
        result = reliability(p, y, bins=case.params["bins"], binning=binning)
        for name in ("count", "confidence", "accuracy", "ece", "mce"):
            same(case, **{f"{name}_{binning}": getattr(result, name)})
    same(case, brier=result.brier, nll=result.nll)


@adapter("saai", "openset_split")
def split(case: Case) -> None:
    np.testing.assert_array_equal(enrolled_identities(case.arrays["ids"], **case.params), case.arrays["enrolled"])
