"""Golden adapters of re-ranking. Ours are similarities, theirs distances: the sign differs."""

from __future__ import annotations

import numpy as np
from runner import Case, adapter
from ties import assert_equal_up_to_ties

from vireid.retrieval import AffinityInference, KReciprocal, ModalityKReciprocal, RandomWalk


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


@adapter("saai", "saai_aim")
def saai_aim(case: Case) -> None:
    stored = case.arrays
    for k1, k2 in case.params["k"]:
        rerank = AffinityInference(k1=k1, k2=k2)
        for dtype, rtol, atol in ((np.float64, 1e-6, 1e-9), (np.float32, 1e-4, 1e-5)):
            scores = rerank(stored["qf"].astype(dtype), stored["gf"].astype(dtype))
            np.testing.assert_allclose(-scores, stored[f"dist_{k1}_{k2}"], rtol=rtol, atol=atol)


def check_modality(case: Case, search: str) -> None:
    """float64 as the released statements in float64; half weights as released; the corrected rows of "constrained"."""
    stored, params = case.arrays, case.params
    settings = {"search": search, "k1": params["k1"], "k2": params["k2"], "weight": params["lam"]}
    sides = stored["qf"].astype(np.float64), stored["gf"].astype(np.float64)
    if "k3" in params:
        settings["gallery_neighbors"] = params["k3"]
    if search == "constrained":
        corrected = ModalityKReciprocal(**settings)(*sides)
        np.testing.assert_allclose(-corrected, stored["dist_offset"], rtol=1e-6, atol=1e-8)
        settings["released_rows"] = True
    np.testing.assert_allclose(-ModalityKReciprocal(**settings)(*sides), stored["dist"], rtol=1e-6, atol=1e-8)
    rounded = ModalityKReciprocal(**settings, half=("weights",))(*sides)
    np.testing.assert_allclose(-rounded, stored["dist_half"], rtol=0, atol=3e-3)


@adapter("saai", "yyds_baseline")
def yyds_baseline(case: Case) -> None:
    check_modality(case, "all")
    stored, params = case.arrays, case.params
    if "k3" not in params:
        plain = KReciprocal(k1=params["k1"], k2=params["k2"], weight=params["lam"])
        scores = plain(stored["qf"].astype(np.float64), stored["gf"].astype(np.float64))
        np.testing.assert_allclose(-scores, stored["dist"], rtol=1e-6, atol=1e-7)


@adapter("saai", "yyds_extended")
def yyds_extended(case: Case) -> None:
    check_modality(case, "extended")


@adapter("saai", "yyds_divided")
def yyds_divided(case: Case) -> None:
    check_modality(case, "divided")


@adapter("saai", "yyds_constrained")
def yyds_constrained(case: Case) -> None:
    check_modality(case, "constrained")
