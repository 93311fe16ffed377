"""Golden adapters of re-ranking. Ours are similarities, theirs distances: the sign differs."""

from __future__ import annotations

import numpy as np
from runner import Case, adapter
from ties import assert_equal_up_to_ties

from vireid.retrieval import KReciprocal, RandomWalk


def check_both_precisions(case: Case, rerank) -> None:
    """float64 and float32 against the float64 run of the release, each with the tolerance of the index."""
    stored, tolerance = case.arrays, case.tolerance
    for dtype, key in ((np.float64, "f64_vs_out64"), (np.float32, "f32_vs_out64")):
        scores = rerank(stored["in/query"].astype(dtype), stored["in/gallery"].astype(dtype))
        assert scores.dtype == dtype
        np.testing.assert_allclose(-scores, stored["out64/dist"], **tolerance[key])


@adapter("pae", "k_reciprocal")
def k_reciprocal(case: Case) -> None:
    params = case.params
    check_both_precisions(case, KReciprocal(k1=params["k1"], k2=params["k2"], weight=params["lambda_value"]))


@adapter("pae", "random_walk")
def random_walk(case: Case) -> None:
    check_both_precisions(case, RandomWalk(alpha=case.params["alpha"]))


@adapter("mpa", "mce_rerank")
def mce_rerank(case: Case) -> None:
    """The release rounds features, distances and weights to half precision, which moves neighbours: ours does too."""
    stored, params = case.arrays, case.params
    settings = {"k1": params["k1"], "k2": params["k2"], "weight": params["lambda_value"]}
    ours = -KReciprocal(**settings, half=("distances", "weights"))(stored["qf"], stored["gf"])
    assert_equal_up_to_ties(ours, stored["dist"], stored["qf"], stored["gf"], atol=3e-3, **settings)


@adapter("mpa", "mpanet_rerank")
def mpanet_rerank(case: Case) -> None:
    """The release holds the weights, not the distances, in half precision."""
    stored, params = case.arrays, case.params
    for key, neighbors in (("dist_eval_true", "queries"), ("dist_eval_false", "all")):
        rerank = KReciprocal(
            k1=params["k1"],
            k2=params["k2"],
            weight=params["lambda_value"],
            neighbors=neighbors,
            half=("weights",),
        )
        np.testing.assert_allclose(-rerank(stored["qf"], stored["gf"]), stored[key], rtol=0, atol=2e-3)
