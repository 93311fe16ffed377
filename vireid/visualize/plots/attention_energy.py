"""Where the networks of finished runs look: their feature maps on chosen test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vireid.config import assemble
from vireid.core.errors import DataError, UserError
from vireid.core.rng import numpy_generator
from vireid.core.types import Modality, Sample
from vireid.data.augment.transforms import normalise
from vireid.data.images.decode import read_pixels
from vireid.data.images.depth import DepthMapping
from vireid.data.loading import BatchLoader
from vireid.experiment.experiment import Experiment
from vireid.visualize.attention import draw_attention
from vireid.visualize.single import Single, of_image
from vireid.visualize.tiles import Photographs

_STREAM = 0x41545421  # key of these draws beside the seed


@dataclass(frozen=True)
class Maps:
    """What a network makes of some images."""

    samples: Sequence[Sample]
    values: np.ndarray  # (N, H, W) >= 0


def attention_maps(run: Path, samples: Sequence[Sample]) -> Maps:
    """The energy of the map that the heads read, at each place: sum over channels of its squares.

    It is the same quantity for every method: after the adapter where there is one, so that what PAE weighs up or down
    is in it. Images are read from their files, at the run's size.
    Errors: UserError for a folder without a run, DataError for an image that cannot be read.
    """
    config = run / "config.yml"
    if not config.is_file():
        raise UserError(f"{run}: holds no config.yml, so it is no run; name the OUTPUT_DIR of one")
    experiment = Experiment.from_config(config, {"OUTPUT_DIR": str(run)})
    model, size = experiment.network(), tuple(experiment.config.SIZE)
    depth = assemble.depth(experiment.config)
    images = np.stack([_pixels(sample, size, depth) for sample in samples])
    loader = BatchLoader(samples, images, [list(range(len(samples)))])
    batch = next(iter(loader)).to(next(model.parameters()).device)
    with torch.no_grad():
        out = model(batch.with_images(normalise(batch.images)))
    energy = out.values["feature_map"].float().square().sum(dim=1)
    if out.source is not None:  # several rows of one image: their mean
        total = energy.new_zeros(len(samples), *energy.shape[1:]).index_add(0, out.source, energy)
        energy = total / torch.bincount(out.source, minlength=len(samples))[:, None, None]
    return Maps(samples, energy.sqrt().cpu().numpy())


def chosen_samples(run: Path, people: int, seed: int = 0) -> list[Sample]:
    """A visible and an infrared test image of each of some people, drawn from the seed."""
    samples = Experiment.from_config(run / "config.yml", {"OUTPUT_DIR": str(run)}).test_samples()
    by_person: dict[int, dict[Modality, list[Sample]]] = {}
    for sample in samples:
        by_person.setdefault(sample.identity, {}).setdefault(sample.modality, []).append(sample)
    both = sorted(person for person, found in by_person.items() if len(found) == len(Modality))
    rng = numpy_generator(seed, _STREAM)
    drawn = sorted(rng.choice(both, min(people, len(both)), replace=False).tolist())
    return [
        by_person[person][modality][int(rng.integers(len(by_person[person][modality])))]
        for person in drawn
        for modality in Modality
    ]


def attention_picture(runs: Sequence[Path], *, people: int = 4, seed: int = 0, names: Sequence[str] = ()) -> Single:
    """Where the networks of runs look on the same people: a row for each run, by its folder's name or `names`."""
    samples = chosen_samples(runs[0], people, seed)
    named = names or [run.resolve().name for run in runs]
    maps = {name: attention_maps(run, samples).values for name, run in zip(named, runs, strict=True)}
    words = [[f"id {s.identity}", f"camera {s.camera}", Modality(s.modality).name.lower()] for s in samples]
    title = "Energy of the map that the heads read"
    picture = draw_attention([str(s.path) for s in samples], words, maps, Photographs(), title=title)
    return of_image("attention", picture, f"{title}: {', '.join(maps)}")


def _pixels(sample: Sample, size: tuple[int, int], depth: DepthMapping | None) -> np.ndarray:
    pixels, fault = read_pixels(str(sample.path), size, depth)
    if pixels is None:
        raise DataError(f"{sample.path}: {fault}")
    return pixels
