from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.evaluation.open_set import heldout_searches


def example(seed=0, people=7, junk=True):
    rng = np.random.default_rng(seed)
    query_ids, gallery_ids = (
        rng.permutation(np.repeat(np.arange(people), 3)),
        rng.permutation(np.repeat(np.arange(people), 4)),
    )
    scores = rng.normal(size=(len(query_ids), len(gallery_ids)))
    ignored = rng.random(scores.shape) < 0.2 if junk else np.zeros(scores.shape, bool)
    return scores, query_ids, gallery_ids, ignored


@pytest.mark.parametrize("fusion", ["max", "mean"])
def test_a_probe_searches_in_n_other_identities(fusion):
    """With all others enrolled nothing is drawn: the top score is that of a loop over the other identities."""
    scores, query_ids, gallery_ids, junk = example()
    found = heldout_searches(scores, query_ids, gallery_ids, junk, enrolled=6, fusion=fusion)
    fuse = {"max": max, "mean": lambda values: sum(values) / len(values)}[fusion]
    for row, (query, top) in enumerate(zip(found.identities, found.top_scores, strict=True)):
        of_person = {}
        for column, person in enumerate(gallery_ids):
            if person != query and not junk[row, column]:
                of_person.setdefault(person, []).append(scores[row, column])
        assert top == pytest.approx(max(map(fuse, of_person.values())))
    assert found.enrolled == 6
    assert found.not_counted == 0


def test_drawn_galleries_never_hold_the_searching_identity():
    """The mate has by far the largest score; no top score may be that."""
    scores, query_ids, gallery_ids, _ = example(junk=False)
    scores = np.where(query_ids[:, None] == gallery_ids, 100.0, scores)
    found = heldout_searches(scores, query_ids, gallery_ids, enrolled=3)
    assert len(found.top_scores) == len(query_ids)
    assert found.top_scores.max() < 100
    assert found.scores[found.same].tolist() == [100.0] * int(found.same.sum())
    assert int(found.same.sum()) == 7 * 3 * 4


def test_more_enrolled_identities_give_larger_top_scores():
    scores, query_ids, gallery_ids, junk = example(people=40)
    means = [
        heldout_searches(scores, query_ids, gallery_ids, junk, enrolled=number).top_scores.mean()
        for number in (1, 5, 20, 39)
    ]
    assert means == sorted(means)
    assert means[0] < means[-1]


def test_draws_depend_on_the_seed_only():
    scores, query_ids, gallery_ids, junk = example(people=12)
    first, again = (heldout_searches(scores, query_ids, gallery_ids, junk, seed=3) for _ in range(2))
    other = heldout_searches(scores, query_ids, gallery_ids, junk, seed=4)
    assert np.array_equal(first.top_scores, again.top_scores)
    assert not np.array_equal(first.top_scores, other.top_scores)
    assert first.enrolled == 6
    order = np.random.default_rng(0).permutation(len(gallery_ids))
    shuffled = heldout_searches(scores[:, order], query_ids, gallery_ids[order], junk[:, order], seed=3)
    np.testing.assert_array_equal(shuffled.top_scores, first.top_scores)


def test_a_probe_with_ignored_images_only_is_not_counted():
    scores, query_ids, gallery_ids, junk = example(junk=False)
    junk[2] = True
    found = heldout_searches(scores, query_ids, gallery_ids, junk, enrolled=6)
    assert found.not_counted == 1
    assert len(found.top_scores) == len(query_ids) - 1
    assert len(found.scores) == (~junk).sum()


def test_errors():
    scores, query_ids, gallery_ids, junk = example()
    with pytest.raises(ArgumentError, match=r"enrolled must be in 1 \.\. 6.*got 7"):
        heldout_searches(scores, query_ids, gallery_ids, junk, enrolled=7)
    with pytest.raises(DataError, match="two or more identities, got 1"):
        heldout_searches(scores, query_ids, np.zeros(len(gallery_ids), int))
    with pytest.raises(DataError, match="no held-out query"):
        heldout_searches(scores, query_ids, gallery_ids, np.ones_like(junk))
