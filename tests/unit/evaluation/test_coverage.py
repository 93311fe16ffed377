"""Queries that have a correct gallery image that counts: against a loop over queries, in blocks of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import EmbeddingTable, Modality, Sample, Trial
from vireid.evaluation import Evaluator, LLCMProtocol, QueryGalleryProtocol, RegDBProtocol, SysuProtocol, coverage
from vireid.retrieval import Similarity

VIS, NIR = Modality.VISIBLE, Modality.INFRARED


def validate(protocol, rows, names=None):
    """rows: (modality, identity, camera[, time])."""
    samples = [Sample(Path(f"{n}.jpg"), i, m, c, time=t[0] if t else None) for n, (m, i, c, *t) in enumerate(rows)]
    return Evaluator(protocol, similarity=Similarity()).validate(samples, names)


def naive(trial, table):
    junk = trial.junk(trial.query, trial.gallery)
    return sum(
        any(table.labels[g] == table.labels[q] and not junk[i, j] for j, g in enumerate(trial.gallery))
        for i, q in enumerate(trial.query)
    )


@pytest.mark.parametrize("block", [1, 7, 100, 1 << 21])
@pytest.mark.parametrize("seed", range(4))
def test_counts_equal_a_loop_over_queries(monkeypatch, block, seed):
    monkeypatch.setattr(coverage, "BLOCK", block)
    rng = np.random.default_rng(seed)
    n = 120
    labels, cameras = rng.integers(0, 25, n), rng.integers(0, 4, n)
    table = EmbeddingTable(np.zeros((n, 0), np.float32), labels, cameras, rng.integers(0, 2, n))
    for same_camera in ("counted", "not_counted", "not_counted_for_same_person"):
        for shots, trials in ((0, 1), (1, 2)):
            protocol = QueryGalleryProtocol(same_camera=same_camera, shots=shots, trials=trials)
            for trial in protocol.trials(table):
                found = coverage.trial_coverage(trial, table)
                assert (found.queries, found.counted) == (len(trial.query), naive(trial, table))
                same = labels[trial.query][:, None] == labels[trial.gallery][None]
                own = same & (cameras[trial.query][:, None] == cameras[trial.gallery][None])
                assert (found.correct_pairs, found.own_camera_pairs) == (same.sum(), own.sum())


def test_blocks_never_exceed_the_budget_and_cover_every_query_once(monkeypatch):
    monkeypatch.setattr(coverage, "BLOCK", 50)
    query, gallery = np.repeat(np.arange(30), 3), np.repeat(np.arange(30), 4)
    blocks = list(coverage._blocks(query, gallery))
    assert np.concatenate([np.arange(90)[rows] for rows, _ in blocks]).tolist() == list(range(90))
    for rows, columns in blocks:
        assert (rows.stop - rows.start) * (columns.stop - columns.start) <= 50
        assert set(query[rows]) <= set(gallery[columns])


def test_camera_0_everywhere_is_found_before_training():
    rows = [(m, i, 0) for m in (VIS, NIR) for i in (1, 2, 3)]
    reason = (
        "all images: none of the 3 queries has a correct gallery image that counts: all 3 pairs of a query and a"
        " correct gallery image are ignored (junk), because every test image has camera {} (check the cameras)"
    )
    for rule in ("not_counted", "not_counted_for_same_person"):
        with pytest.raises(DataError) as caught:
            validate(QueryGalleryProtocol(same_camera=rule), rows)
        assert str(caught.value) == reason.format("0")
    with pytest.raises(DataError, match=r"because every test image has camera 0 \(cam_a\)"):
        validate(QueryGalleryProtocol(same_camera="not_counted"), rows, {0: "cam_a"})
    with pytest.raises(DataError, match=r"trial 0: none of the 3 queries .* every test image has camera 0"):
        validate(LLCMProtocol(), rows)
    assert validate(QueryGalleryProtocol(), rows).trials[0].skipped == 0
    assert validate(RegDBProtocol(), rows).trials[0].counted == 3


def test_other_reasons_for_no_correct_image():
    with pytest.raises(DataError, match="no identity has both a query and a gallery image"):
        validate(QueryGalleryProtocol(), [(VIS, 1, 1), (NIR, 2, 2)])
    own = [(VIS, 1, 1), (NIR, 1, 1), (VIS, 2, 2), (NIR, 2, 2)]
    with pytest.raises(DataError, match=r"all 2 pairs .* in each of them both images have the same camera"):
        validate(QueryGalleryProtocol(same_camera="not_counted"), own)
    with pytest.raises(DataError, match=r"all 1 pairs .* check the cameras and what the protocol ignores"):
        validate(QueryGalleryProtocol(exclude=((2, 1),)), [(VIS, 1, 1), (NIR, 1, 2)])
    with pytest.raises(DataError, match=r"trial 0: none of the 1 queries .* are ignored"):
        validate(SysuProtocol(), [(VIS, 1, 2), (NIR, 1, 3)])


def test_some_queries_without_a_correct_image_are_one_line():
    rows = [(VIS, 1, 1), (VIS, 2, 1), (NIR, 1, 2), (NIR, 3, 2), (NIR, 4, 2)]
    found = validate(QueryGalleryProtocol(), rows)
    assert [(t.queries, t.counted, t.skipped) for t in found.trials] == [(3, 1, 2)]
    assert found.lines() == ["skipped queries: 2 of 3 (no correct gallery image counts for them; they are in no mean)"]
    assert validate(QueryGalleryProtocol(), rows[:3]).lines() == []


def test_the_report_skips_exactly_those_that_were_announced():
    rng = np.random.default_rng(1)
    n = 80
    labels, cameras, modality = rng.integers(0, 20, n), rng.integers(1, 4, n), rng.integers(0, 2, n)
    features = rng.normal(size=(n, 4)).astype(np.float32)
    table = EmbeddingTable(features / np.linalg.norm(features, axis=1, keepdims=True), labels, cameras, modality)
    protocol = QueryGalleryProtocol(same_camera="not_counted", shots=1, trials=3)
    report = Evaluator(protocol, similarity=Similarity())(table)
    rows = [(Modality(int(m)), int(i), int(c)) for m, i, c in zip(modality, labels, cameras)]
    found = validate(protocol, rows)
    assert [t.skipped for t in found.trials] == [scores.skipped for scores in report.trials.values()]
    assert any(t.skipped for t in found.trials)
    assert f"{found.lines()[0]}" in str(report)


@pytest.mark.parametrize(
    ("protocol", "rows", "remark"),
    [
        (
            QueryGalleryProtocol(same_camera="not_counted"),
            [(VIS, 1, 1), (NIR, 1, 2)],
            "same_camera: not_counted has no effect: no camera has both query and gallery images (cameras of the"
            " queries: 2 (b); of the gallery: 1 (a))",
        ),
        (
            QueryGalleryProtocol(same_camera="not_counted_for_same_person"),
            [(VIS, 1, 1), (NIR, 1, 2), (VIS, 2, 2), (NIR, 2, 1)],
            "same_camera: not_counted_for_same_person has no effect: no identity has a query and a gallery image of the"
            " same camera",
        ),
        (
            QueryGalleryProtocol(within_seconds=5),
            [(VIS, 1, 1, 1000.0), (NIR, 1, 1, 9000.0), (NIR, 2, 2, 1000.0), (VIS, 2, 1, 2000.0)],
            "within_seconds: 5 has no effect: a query and a gallery image of one camera are at least 7000 s apart",
        ),
        (
            QueryGalleryProtocol(within_seconds=5),
            [(VIS, 1, 1, 0.0), (NIR, 1, 2, 0.0)],
            "within_seconds: 5 has no effect: no camera has both query and gallery images",
        ),
        (
            LLCMProtocol(),
            [(VIS, 1, 1), (NIR, 1, 2)],
            "the rule that ignores the same identity in the same camera has no effect",
        ),
        (
            SysuProtocol(),
            [(VIS, 1, 1), (NIR, 1, 6)],
            "no test image has the cameras 2, 3, 4, 5, which this protocol uses; the rule for queries of camera 3",
        ),
    ],
)
def test_rules_without_effect_are_remarked(protocol, rows, remark):
    (line,) = validate(protocol, rows, {1: "a", 2: "b"} if "(a)" in remark else None).lines()
    assert line.startswith(remark)


@pytest.mark.parametrize(
    ("protocol", "rows"),
    [
        (QueryGalleryProtocol(same_camera="not_counted"), [(VIS, 1, 1), (NIR, 1, 2), (VIS, 2, 2)]),
        (
            QueryGalleryProtocol(same_camera="not_counted_for_same_person"),
            [(VIS, 1, 1), (NIR, 1, 2), (VIS, 1, 2)],
        ),
        (QueryGalleryProtocol(within_seconds=5), [(VIS, 1, 1, 3.0), (NIR, 1, 1, 8.0), (VIS, 1, 2, 8.0)]),
        (QueryGalleryProtocol(), [(VIS, 1, 1), (NIR, 1, 2)]),
    ],
)
def test_rules_with_an_effect_are_not(protocol, rows):
    assert validate(protocol, rows).lines() == []


def test_a_junk_rule_of_the_wrong_form_is_one_clear_error():
    table = EmbeddingTable(np.zeros((2, 0), np.float32), np.array([1, 1]), np.array([1, 2]), np.array([0, 1]))
    trial = Trial("all", np.array([1]), np.array([0]), lambda q, g: np.zeros((1, 1)))
    with pytest.raises(UserError, match=r"junk of all must be bool \(1, 1\), got float64 \(1, 1\)"):
        coverage.trial_coverage(trial, table)


def test_a_hundred_thousand_images_take_seconds_and_little_memory():
    rng = np.random.default_rng(0)
    n = 100_000
    table = EmbeddingTable(
        np.zeros((n, 0), np.float32), rng.integers(0, 1000, n), rng.integers(0, 6, n), rng.integers(0, 2, n)
    )
    largest = 0
    (trial,) = QueryGalleryProtocol(same_camera="not_counted_for_same_person").trials(table)

    def junk(query, gallery):
        nonlocal largest
        largest = max(largest, len(query) * len(gallery))
        return trial.junk(query, gallery)

    found = coverage.trial_coverage(Trial("all", trial.query, trial.gallery, junk), table)
    assert found.counted == found.queries > 45_000
    assert largest <= coverage.BLOCK
