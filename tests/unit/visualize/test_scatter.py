"""t-SNE map and distance histograms of saved embeddings."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vireid.core.errors import DataError, UserError
from vireid.runs.results import SavedEmbeddings, read_embeddings
from vireid.visualize.scatter import chosen_rows, distance_histograms, pair_distances, tsne_map


def clusters(count=6, each=5, spread=0.1, seed=0):
    """Tight clusters of identities with images of both modalities."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), 2 * each)
    modality = np.tile(np.repeat([0, 1], each), count)
    features = rng.standard_normal((count, 16))[labels] + spread * rng.standard_normal((len(labels), 16))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return SavedEmbeddings(features.astype(np.float32), labels, modality + 1, modality, np.array(["x"] * len(labels)))


def test_pairs_belong_to_their_group():
    table = clusters()
    groups = pair_distances(table, most=500)
    assert list(groups) == [
        "same identity, same modality",
        "same identity, cross-modality",
        "different identities, same modality",
        "different identities, cross-modality",
    ]
    assert all(len(values) == 500 for values in groups.values())
    exact = 1 - table.features @ table.features.T
    same = table.labels[:, None] == table.labels[None]
    assert max(groups[name].max() for name in list(groups)[:2]) <= exact[same].max() + 1e-5
    assert min(groups[name].min() for name in list(groups)[2:]) >= exact[~same].min() - 1e-5
    assert groups["same identity, cross-modality"].mean() < groups["different identities, same modality"].mean() / 3


def test_identities_are_sampled_from_the_seed_and_have_both_modalities():
    table = clusters()
    rows = chosen_rows(table, 3, 2)
    assert len(rows) == 3 * 2 * 2
    assert np.array_equal(rows, chosen_rows(table, 3, 2))
    assert not np.array_equal(rows, chosen_rows(table, 3, 2, seed=1))
    assert set(table.modality[rows]) == {0, 1}
    only_visible = SavedEmbeddings(
        table.features, table.labels, table.cameras, np.zeros_like(table.modality), table.paths
    )
    with pytest.raises(UserError, match="fewer than two identities have images of both modalities"):
        chosen_rows(only_visible, 3, 2)


@pytest.mark.parametrize("draw", [lambda table, **kw: tsne_map(table, people=4, images=3, **kw), distance_histograms])
def test_pictures_are_pictures(draw):
    content = draw(clusters())
    assert np.asarray(Image.open(io.BytesIO(content)).convert("L")).std() > 5
    assert draw(clusters(), form="pdf").startswith(b"%PDF")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match=r"features.npz does not exist; write it with: .*--eval-only"):
        read_embeddings(tmp_path)
    (tmp_path / "features.npz").write_bytes(b"PK broken")
    with pytest.raises(DataError, match="cannot be read"):
        read_embeddings(tmp_path)
