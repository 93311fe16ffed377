from __future__ import annotations

from itertools import product
from math import log
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality, Sample
from vireid.evaluation.attribute_matchers import MATCHERS, exact, fitted, hamming, matcher_named


@pytest.fixture
def codes():
    rng = np.random.default_rng(0)
    return rng.integers(-1, 2, (7, 5)).astype(np.float32), rng.integers(-1, 2, (9, 5)).astype(np.float32)


def naive(query, gallery, one):
    """(Q, G) sums over the attributes of `one(value of the query, value of the gallery)`."""
    return [[sum(one(a, b) for a, b in zip(left, right)) for right in gallery] for left in query]


def test_hamming_against_loops(codes):
    expected = naive(*codes, lambda a, b: 0.5 if -1 in (a, b) else float(a != b))
    np.testing.assert_array_equal(hamming(*codes), expected)


def test_exact_against_loops(codes):
    differing = np.array(naive(*codes, lambda a, b: -1 not in (a, b) and a != b))
    np.testing.assert_array_equal(exact(*codes), differing > 0)


def people(seed=0, identities=12):
    """Each identity in cameras 1, 2 (visible) and 3 (infrared), two images each; the third attribute is a coin."""
    rng = np.random.default_rng(seed)
    samples = []
    for identity, own in enumerate(rng.integers(0, 2, (identities, 3))):
        for camera in (1, 2, 3):
            row = (int(own[0]), int(own[1]), int(rng.integers(0, 2)))
            modality = Modality.INFRARED if camera == 3 else Modality.VISIBLE
            samples += [Sample(Path(f"{n}.jpg"), identity, modality, camera, row) for n in (1, 2)]
    samples.append(Sample(Path("x.jpg"), 0, Modality.VISIBLE, 4, (-1, 1, -1)))
    return [*samples, Sample(Path("y.jpg"), 0, Modality.VISIBLE, 5)]


def test_the_ratio_against_loops_over_pairs(codes):
    samples = people()
    entries = {(s.modality, s.camera, s.identity, s.attributes) for s in samples if s.attributes}
    infrared = [e for e in entries if e[0] == Modality.INFRARED]
    visible = [e for e in entries if e[0] == Modality.VISIBLE]
    counts = np.ones((2, 3, 2, 2))  # different or same, attribute, value of the query, of the gallery
    for (_, _, one, left), (_, _, other, right) in product(infrared, visible):
        for attribute in range(3):
            if -1 not in (left[attribute], right[attribute]):
                counts[int(one == other), attribute, left[attribute], right[attribute]] += 1
    shares = counts / counts.sum(axis=(2, 3), keepdims=True)
    match = fitted(samples)
    np.testing.assert_allclose(match.table, np.log(shares[1] / shares[0]), rtol=1e-12)

    query, gallery = codes[0][:, :3], codes[1][:, :3]

    def ratio(left, right):
        pairs = [(k, int(a), int(b)) for k, (a, b) in enumerate(zip(left, right)) if -1 not in (a, b)]
        return -sum(log(shares[1][pair] / shares[0][pair]) for pair in pairs)

    np.testing.assert_allclose(match(query, gallery), [[ratio(a, b) for b in gallery] for a in query], atol=1e-12)


def test_what_never_changes_counts_more_than_a_coin():
    table = fitted(people(identities=60)).table
    differing = table[:, 0, 1]
    assert differing[0] < -1.5 < -0.5 < differing[2]


def test_no_identities_to_fit_on_are_an_error():
    for samples in ([], [s for s in people() if s.modality == Modality.VISIBLE], people(identities=1)):
        with pytest.raises(DataError, match="'llr' is fitted on identities that are not in the test"):
            matcher_named("llr", samples)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UserError) as caught:
        matcher_named("haming")
    assert str(caught.value) == (
        "unknown attribute matcher 'haming'; did you mean 'hamming'? Known: hamming, exact, llr"
    )
    assert list(MATCHERS) == ["hamming", "exact", "llr"]
