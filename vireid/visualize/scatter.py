"""Plots of the embeddings of a run: t-SNE map and histograms of cosine distances."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import UserError
from vireid.core.rng import numpy_generator
from vireid.core.types import Modality
from vireid.runs.results import SavedEmbeddings
from vireid.visualize.drawing import LIGHT, Form, Theme, figure_of, legend, look, save

NAMES = {Modality.VISIBLE: "visible", Modality.INFRARED: "infrared"}
_STREAM = 0x54534E45  # stream of the random generator, combined with the seed
PAIRS = 100_000  # most pairs sampled for each histogram


def chosen_rows(table: SavedEmbeddings, people: int, images: int, seed: int = 0) -> np.ndarray:
    """Sample `people` identities with images of both modalities and up to `images` rows of each modality."""
    both = [set(table.labels[table.modality == modality].tolist()) for modality in NAMES]
    known = sorted(both[0] & both[1])
    if len(known) < 2:
        raise UserError("fewer than two identities have images of both modalities; t-SNE needs two or more")
    rng = numpy_generator(seed, _STREAM)
    rows = []
    for identity in sorted(rng.choice(known, min(people, len(known)), replace=False).tolist()):
        for modality in NAMES:
            candidates = np.flatnonzero((table.labels == identity) & (table.modality == modality))
            rows.append(np.sort(rng.choice(candidates, min(images, len(candidates)), replace=False)))
    return np.concatenate(rows)


def tsne_map(
    table: SavedEmbeddings,
    *,
    people: int = 20,
    images: int = 10,
    seed: int = 0,
    title: str = "",
    theme: Theme = LIGHT,
    form: Form = "png",
) -> bytes:
    """Draw a t-SNE map: one point for each image, one color for each identity, one marker for each modality.

    The identities are sampled from the seed. t-SNE is that of scikit-learn, initialized by PCA. Distances between
    clusters that lie far apart carry no meaning.
    """
    from sklearn.manifold import TSNE

    rows = chosen_rows(table, people, images, seed)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(table.features[rows])
    labels, modality = table.labels[rows], table.modality[rows]
    with figure_of(theme, height=5.4) as (figure, (axes,)):
        colors = _colors(len(np.unique(labels)))
        of_row = colors[np.searchsorted(np.unique(labels), labels)]
        for kind, marker in ((Modality.VISIBLE, "o"), (Modality.INFRARED, "x")):
            chosen = modality == kind
            face = {"facecolors": of_row[chosen]} if marker == "o" else {"color": of_row[chosen]}
            axes.scatter(*places[chosen].T, s=26, marker=marker, linewidths=1.3, label=NAMES[kind], **face)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title or f"t-SNE of {len(colors)} identities, one color for each", loc="left")
        legend(figure, axes)
        return save(figure, theme, form)


def _colors(count: int) -> np.ndarray:
    """Return RGB colors (count, 3) in [0, 1]: equidistant hues with alternating brightness."""
    import matplotlib

    hues = matplotlib.colormaps["hsv"](np.linspace(0, 1, count, endpoint=False))[:, :3]
    return hues * np.where(np.arange(count) % 2, 0.6, 0.85)[:, None]


def pair_distances(table: SavedEmbeddings, *, seed: int = 0, most: int = PAIRS) -> dict[str, np.ndarray]:
    """Compute cosine distances of sampled pairs within and between identities and modalities.

    The full N x N matrix is never computed.
    """
    rng = numpy_generator(seed, _STREAM)
    groups = {}
    order = np.argsort(table.labels, kind="stable")
    _, starts, counts = np.unique(table.labels[order], return_index=True, return_counts=True)
    identity = np.searchsorted(starts, np.arange(len(order)), side="right") - 1
    for name, same_identity in (("same identity", True), ("different identities", False)):
        a = rng.integers(0, len(order), 4 * most)
        if same_identity:
            b = starts[identity[a]] + rng.integers(0, counts[identity[a]])
        else:
            b = rng.integers(0, len(order), 4 * most)
        keep = (a != b) & ((identity[a] == identity[b]) == same_identity)
        first, second = order[a[keep]], order[b[keep]]
        across = table.modality[first] != table.modality[second]
        for word, chosen in (("same modality", ~across), ("cross-modality", across)):
            one, other = first[chosen][:most], second[chosen][:most]
            groups[f"{name}, {word}"] = 1 - np.einsum("nd,nd->n", table.features[one], table.features[other])
    return groups


def distance_histograms(
    table: SavedEmbeddings, *, seed: int = 0, title: str = "", theme: Theme = LIGHT, form: Form = "png"
) -> bytes:
    """Draw histograms of the cosine distances of `pair_distances`."""
    groups = pair_distances(table, seed=seed)
    edges = np.linspace(0, max((float(values.max()) for values in groups.values() if len(values)), default=1.0), 61)
    with figure_of(theme, height=4.0) as (figure, (axes,)):
        for number, (name, values) in enumerate(groups.items()):
            if len(values):
                style = look(theme, number % 2 + 2 * (number // 2))
                axes.hist(values, edges, density=True, histtype="step", linewidth=2, label=name, color=style["color"])
        axes.set_xlabel("cosine distance")
        axes.set_ylabel("density of pairs")
        axes.set_title(title or "Distances between test images", loc="left")
        legend(figure, axes, columns=2)
        return save(figure, theme, form)
