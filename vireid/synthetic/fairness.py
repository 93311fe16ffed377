"""Shortcut check of the synthetic task: rank-1 accuracy of color histograms and of raw pixels.

Color must be informative between visible cameras and uninformative between the modalities, and raw pixels must fail
across modalities. Otherwise a network could solve the task without learning shape or texture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from vireid.synthetic import sysu
from vireid.synthetic.world import World

VISIBLE, INFRARED = (1, 2, 4, 5), (3, 6)


def color_histogram(pictures: np.ndarray, bins: int = 6) -> np.ndarray:
    """Compute root color histograms of head, trunk and legs: (N, H, W, 3) uint8 -> (N, 3 * bins**3)."""
    _, height, width, _ = pictures.shape
    middle = pictures[:, :, width // 4 : width - width // 4].astype(np.intp) * bins // 256
    code = (middle[..., 0] * bins + middle[..., 1]) * bins + middle[..., 2]
    size = bins**3
    parts = []
    for top, bottom in ((0.0, 0.18), (0.18, 0.52), (0.52, 0.95)):
        rows = code[:, int(top * height) : int(bottom * height)].reshape(len(pictures), -1)
        offset = np.arange(len(pictures))[:, None] * size
        counts = np.bincount((rows + offset).ravel(), minlength=len(pictures) * size).reshape(len(pictures), size)
        parts.append(np.sqrt(counts / rows.shape[1]))
    return np.concatenate(parts, axis=1)


def raw_pixels(pictures: np.ndarray) -> np.ndarray:
    """Compute L2-normalized gray levels of zero mean at 32 x 16: (N, H, W, 3) uint8 -> (N, 512)."""
    small = np.stack(
        [np.asarray(Image.fromarray(p).convert("L").resize((16, 32), Image.Resampling.BOX), float) for p in pictures]
    )
    flat = small.reshape(len(pictures), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


MATCHERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "color_histogram": color_histogram,
    "raw_pixels": raw_pixels,
}


def rank1(
    features: np.ndarray,
    identities: np.ndarray,
    cameras: np.ndarray,
    query_cameras: tuple[int, ...],
    *,
    trials: int,
    rng: np.random.Generator,
) -> float:
    """Rank-1 accuracy: share of queries whose nearest gallery image has the same identity.

    The gallery of a trial is one image of each (identity, visible camera). Images of the query's camera are ignored,
    and those of camera 2 for queries of camera 3 as in the SYSU-MM01 protocol, so that the background does not help.
    """
    similarity = features @ features.T
    queries = np.flatnonzero(np.isin(cameras, query_cameras))
    hits = []
    for _ in range(trials):
        order = rng.permutation(len(identities))
        order = order[np.isin(cameras[order], VISIBLE)]
        _, first = np.unique(identities[order] * 10 + cameras[order], return_index=True)
        gallery = order[first]
        scores = similarity[np.ix_(queries, gallery)]
        ignored = np.where(cameras[queries] == 3, 2, cameras[queries])[:, None] == cameras[gallery][None, :]
        scores[ignored] = -np.inf
        same = (identities[queries][:, None] == identities[gallery][None, :]) & ~ignored
        correct = identities[gallery[scores.argmax(axis=1)]] == identities[queries]
        hits.append(correct[same.any(axis=1)].mean())
    return float(np.mean(hits))


@dataclass(frozen=True, slots=True)
class Fairness:
    """Rank-1 as shares; `chance` is one over the number of identities."""

    identities: int
    chance: float
    color_visible: float
    color_infrared: float
    pixels_visible: float
    pixels_infrared: float


def photograph_all(world: World, people: sysu.Plan, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render all images of a plan: images (N, H, W, 3), identities (N,), cameras (N,)."""
    keys = [
        (number, camera, shot)
        for number in people.identities
        for camera in people.cameras[number]
        for shot in range(images)
    ]
    pictures = np.stack([world.photograph(*key) for key in keys])
    numbers = np.array(keys)
    return pictures, numbers[:, 0], numbers[:, 1]


def measure(world: World, people: sysu.Plan, *, images: int = 3, trials: int = 10) -> Fairness:
    """Measure both features, from visible to visible across cameras and from infrared to visible."""
    pictures, identities, cameras = photograph_all(world, people, images)
    results = {}
    for name, describe in MATCHERS.items():
        features = describe(pictures)
        for queries in (VISIBLE, INFRARED):
            results[name, queries] = rank1(
                features, identities, cameras, queries, trials=trials, rng=np.random.default_rng(0)
            )
    return Fairness(
        identities=len(people.identities),
        chance=1 / len(people.identities),
        color_visible=results["color_histogram", VISIBLE],
        color_infrared=results["color_histogram", INFRARED],
        pixels_visible=results["raw_pixels", VISIBLE],
        pixels_infrared=results["raw_pixels", INFRARED],
    )


def main() -> None:
    """Print the numbers of docs/synthetic.md: `python -m vireid.synthetic.fairness`."""
    for difficulty in (0.0, 0.5, 1.0):
        world = World(seed=0, difficulty=difficulty, size=(128, 64))
        result = measure(world, sysu.plan(seed=0, identities=200))
        print(
            f"difficulty {difficulty:.2f}: "
            + ", ".join(f"{name} {value:.4g}" for name, value in asdict(result).items())
        )


if __name__ == "__main__":
    main()
