"""Pictures of descriptors show what the descriptors say."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vireid.core.errors import DataError, UserError
from vireid.visualize.scatter import (
    Descriptors,
    chosen_people,
    distance_histograms,
    pair_distances,
    read_descriptors,
    tsne_map,
)


def people(count=6, each=5, spread=0.1, seed=0):
    """Tight clusters of people, each seen in both modalities."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), 2 * each)
    modality = np.tile(np.repeat([0, 1], each), count)
    features = rng.standard_normal((count, 16))[labels] + spread * rng.standard_normal((len(labels), 16))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Descriptors(features.astype(np.float32), labels, modality + 1, modality, np.array(["x"] * len(labels)))


def test_pairs_are_of_the_kind_that_they_say():
    found = people()
    groups = pair_distances(found, most=500)
    assert list(groups) == [
        "one person, one modality",
        "one person, two modalities",
        "two people, one modality",
        "two people, two modalities",
    ]
    assert all(len(values) == 500 for values in groups.values())
    exact = 1 - found.features @ found.features.T
    same = found.labels[:, None] == found.labels[None]
    assert max(groups[name].max() for name in list(groups)[:2]) <= exact[same].max() + 1e-5
    assert min(groups[name].min() for name in list(groups)[2:]) >= exact[~same].min() - 1e-5
    assert groups["one person, two modalities"].mean() < groups["two people, one modality"].mean() / 3


def test_people_are_drawn_from_the_seed_and_have_both_modalities():
    found = people()
    rows = chosen_people(found, 3, 2)
    assert len(rows) == 3 * 2 * 2
    assert np.array_equal(rows, chosen_people(found, 3, 2))
    assert not np.array_equal(rows, chosen_people(found, 3, 2, seed=1))
    assert set(found.modality[rows]) == {0, 1}
    only_visible = Descriptors(found.features, found.labels, found.cameras, np.zeros_like(found.modality), found.paths)
    with pytest.raises(UserError, match="fewer than two people have pictures of both modalities"):
        chosen_people(only_visible, 3, 2)


@pytest.mark.parametrize("draw", [lambda found, **kw: tsne_map(found, people=4, images=3, **kw), distance_histograms])
def test_pictures_are_pictures(draw):
    content = draw(people())
    assert np.asarray(Image.open(io.BytesIO(content)).convert("L")).std() > 5
    assert draw(people(), form="pdf").startswith(b"%PDF")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match=r"features.npz does not exist; make it with: .*--eval-only"):
        read_descriptors(tmp_path)
    (tmp_path / "features.npz").write_bytes(b"PK broken")
    with pytest.raises(DataError, match="cannot be read"):
        read_descriptors(tmp_path)
