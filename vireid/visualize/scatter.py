"""Descriptors of a run as pictures: a map of people (t-SNE) and histograms of distances."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.rng import numpy_generator
from vireid.core.types import Modality
from vireid.visualize.drawing import LIGHT, Form, Theme, figure_of, legend, look, save

NAMES = {Modality.VISIBLE: "visible", Modality.INFRARED: "infrared"}
_STREAM = 0x54534E45  # key of these draws beside the seed
PAIRS = 100_000  # most pairs drawn for each histogram


@dataclass(frozen=True)
class Descriptors:
    """`features.npz` of a run."""

    features: np.ndarray  # (N, D) float32, unit rows
    labels: np.ndarray
    cameras: np.ndarray
    modality: np.ndarray
    paths: np.ndarray


def read_descriptors(run: Path) -> Descriptors:
    """The descriptors that a run left. Errors: UserError where there are none, DataError for a damaged file."""
    file = run / "features.npz"
    if not file.exists():
        raise UserError(
            f"{file} does not exist; make it with: tools/train_net.py --config-file {run / 'config.yml'} --eval-only"
            f" SAVE_FEATURES true OUTPUT_DIR {run}"
        )
    try:
        with np.load(file, allow_pickle=False) as saved:
            columns = {name: saved[name] for name in ("labels", "cameras", "modality", "paths")}
            features = saved["features"].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: cannot be read ({error}); evaluate the run again with --eval-only") from error
    return Descriptors(features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12), **columns)


def chosen_people(found: Descriptors, people: int, images: int, seed: int = 0) -> np.ndarray:
    """Rows of up to `images` pictures of each modality of `people` drawn identities that have both."""
    both = [set(found.labels[found.modality == modality].tolist()) for modality in NAMES]
    known = sorted(both[0] & both[1])
    if len(known) < 2:
        raise UserError("fewer than two people have pictures of both modalities: there is nothing to compare")
    rng = numpy_generator(seed, _STREAM)
    rows = []
    for person in sorted(rng.choice(known, min(people, len(known)), replace=False).tolist()):
        for modality in NAMES:
            own = np.flatnonzero((found.labels == person) & (found.modality == modality))
            rows.append(np.sort(rng.choice(own, min(images, len(own)), replace=False)))
    return np.concatenate(rows)


def tsne_map(
    found: Descriptors,
    *,
    people: int = 20,
    images: int = 10,
    seed: int = 0,
    title: str = "",
    theme: Theme = LIGHT,
    form: Form = "png",
) -> bytes:
    """A point for each picture, a colour for each person, a form for each modality. People are drawn from the seed.

    Source: t-SNE as scikit-learn has it, started from principal components. Distances between far groups mean nothing.
    """
    from sklearn.manifold import TSNE

    rows = chosen_people(found, people, images, seed)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(found.features[rows])
    labels, modality = found.labels[rows], found.modality[rows]
    with figure_of(theme, height=5.4) as (figure, (axes,)):
        colours = _colours(len(np.unique(labels)))
        of_row = colours[np.searchsorted(np.unique(labels), labels)]
        for kind, marker in ((Modality.VISIBLE, "o"), (Modality.INFRARED, "x")):
            own = modality == kind
            face = {"facecolors": of_row[own]} if marker == "o" else {"color": of_row[own]}
            axes.scatter(*places[own].T, s=26, marker=marker, linewidths=1.3, label=NAMES[kind], **face)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title or f"t-SNE of {len(colours)} people, a colour for each", loc="left")
        legend(figure, axes)
        return save(figure, theme, form)


def _colours(count: int) -> np.ndarray:
    """(count, 3) in [0, 1]: hues at even distances, two brightnesses, so that neighbours differ."""
    import matplotlib

    hues = matplotlib.colormaps["hsv"](np.linspace(0, 1, count, endpoint=False))[:, :3]
    return hues * np.where(np.arange(count) % 2, 0.6, 0.85)[:, None]


def pair_distances(found: Descriptors, *, seed: int = 0, most: int = PAIRS) -> dict[str, np.ndarray]:
    """Cosine distances of drawn pairs: within and between people, of one modality and of two. Nothing N x N."""
    rng = numpy_generator(seed, _STREAM)
    groups = {}
    order = np.argsort(found.labels, kind="stable")
    _, starts, counts = np.unique(found.labels[order], return_index=True, return_counts=True)
    person = np.searchsorted(starts, np.arange(len(order)), side="right") - 1
    for name, same_person in (("one person", True), ("two people", False)):
        a = rng.integers(0, len(order), 4 * most)
        if same_person:
            b = starts[person[a]] + rng.integers(0, counts[person[a]])
        else:
            b = rng.integers(0, len(order), 4 * most)
        keep = (a != b) & ((person[a] == person[b]) == same_person)
        first, second = order[a[keep]], order[b[keep]]
        across = found.modality[first] != found.modality[second]
        for word, chosen in (("one modality", ~across), ("two modalities", across)):
            one, other = first[chosen][:most], second[chosen][:most]
            groups[f"{name}, {word}"] = 1 - np.einsum("nd,nd->n", found.features[one], found.features[other])
    return groups


def distance_histograms(
    found: Descriptors, *, seed: int = 0, title: str = "", theme: Theme = LIGHT, form: Form = "png"
) -> bytes:
    """How far apart pictures of one person and of two are, within a modality and across."""
    groups = pair_distances(found, seed=seed)
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
