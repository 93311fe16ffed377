"""Is the task fair? Two matchers that look at colour or at pixels, and nothing else.

Colour must be worth much between visible cameras and nothing between visible and infrared ones; raw pixels must fail
across modalities. If either could cross, a network could too without learning shape or texture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from vireid.synthetic import sysu
from vireid.synthetic.world import World

VISIBLE, INFRARED = (1, 2, 4, 5), (3, 6)


def colour_histogram(pictures: np.ndarray, bins: int = 6) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, 3 * bins**3) root histograms of colour of head, trunk and legs (middle columns)."""
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
    """(N, H, W, 3) uint8 -> (N, 512) grey levels at 32 x 16, zero mean, unit length: exposure does not count."""
    small = np.stack(
        [np.asarray(Image.fromarray(p).convert("L").resize((16, 32), Image.Resampling.BOX), float) for p in pictures]
    )
    flat = small.reshape(len(pictures), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


MATCHERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "colour_histogram": colour_histogram,
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
    """Share of queries whose nearest gallery picture shows the same person.

    Gallery of a trial = one picture of each (identity, visible camera). Pictures of the query's own camera are left
    out, and camera 2 for queries of camera 3 as in the SYSU-MM01 protocol: no background gives the answer away.
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
        hidden = np.where(cameras[queries] == 3, 2, cameras[queries])[:, None] == cameras[gallery][None, :]
        scores[hidden] = -np.inf
        same = (identities[queries][:, None] == identities[gallery][None, :]) & ~hidden
        found = identities[gallery[scores.argmax(axis=1)]] == identities[queries]
        hits.append(found[same.any(axis=1)].mean())
    return float(np.mean(hits))


@dataclass(frozen=True, slots=True)
class Fairness:
    """Rank-1 as shares; `chance` is one over the number of identities."""

    identities: int
    chance: float
    colour_visible: float
    colour_infrared: float
    pixels_visible: float
    pixels_infrared: float


def photograph_all(world: World, people: sysu.Plan, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (N, H, W, 3), identities (N,), cameras (N,) of the whole plan, in memory."""
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
    """Both matchers, visible to visible across cameras and infrared to visible."""
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
        colour_visible=results["colour_histogram", VISIBLE],
        colour_infrared=results["colour_histogram", INFRARED],
        pixels_visible=results["raw_pixels", VISIBLE],
        pixels_infrared=results["raw_pixels", INFRARED],
    )


def main() -> None:
    """`python -m vireid.synthetic.fairness`: the numbers of docs/synthetic.md."""
    for difficulty in (0.0, 0.5, 1.0):
        world = World(seed=0, difficulty=difficulty, size=(128, 64))
        found = measure(world, sysu.plan(seed=0, identities=200))
        print(
            f"difficulty {difficulty:.2f}: " + ", ".join(f"{name} {value:.4g}" for name, value in asdict(found).items())
        )


if __name__ == "__main__":
    main()
