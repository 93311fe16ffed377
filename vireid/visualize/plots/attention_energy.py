"""Attention energy: feature map energy of the networks of finished runs on sampled test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vireid.core.errors import DataError, UserError
from vireid.core.rng import numpy_generator
from vireid.core.types import Modality, Sample
from vireid.data.augment.transforms import normalise
from vireid.data.images.decode import read_pixels
from vireid.data.images.depth import DepthMapping
from vireid.data.loading import BatchLoader
from vireid.experiment.experiment import Experiment
from vireid.runs.folder import RunFolder
from vireid.visualize.attention import draw_attention
from vireid.visualize.single import Single, of_image
from vireid.visualize.tiles import Photographs

_STREAM = 0x41545421  # stream of the random generator, combined with the seed


@dataclass(frozen=True)
class Maps:
    """Energy maps of a network for some images."""

    samples: Sequence[Sample]
    values: np.ndarray  # (N, H, W) >= 0


def attention_maps(run: Path, samples: Sequence[Sample]) -> Maps:
    """Compute the energy (L2 norm over the channels) of the feature map that the heads read, at each position.

    The map is taken after the adapter where the model has one, so the weights of PAE are included. Images are read
    from their files and resized to the input size of the run.

    Raises:
        UserError: If the folder holds no run.
        DataError: If an image cannot be read.
    """
    config = RunFolder(run).config
    if not config.is_file():
        raise UserError(f"{run}: config.yml is missing, so this is not a run folder; pass the OUTPUT_DIR of a run")
    experiment = Experiment.from_config(config, {"OUTPUT_DIR": str(run)})
    model, size = experiment.network(), tuple(experiment.config.SIZE)
    depth = experiment.build.depth()
    images = np.stack([_pixels(sample, size, depth) for sample in samples])
    loader = BatchLoader(samples, images, [list(range(len(samples)))])
    batch = next(iter(loader)).to(next(model.parameters()).device)
    with torch.no_grad():
        out = model(batch.with_images(normalise(batch.images)))
    energy = out.values["feature_map"].float().square().sum(dim=1)
    if out.source is not None:  # several output rows for one image: take their mean
        total = energy.new_zeros(len(samples), *energy.shape[1:]).index_add(0, out.source, energy)
        energy = total / torch.bincount(out.source, minlength=len(samples))[:, None, None]
    return Maps(samples, energy.sqrt().cpu().numpy())


def chosen_samples(run: Path, people: int, seed: int = 0) -> list[Sample]:
    """Sample identities from the seed, with one visible and one infrared test image of each."""
    samples = Experiment.from_config(RunFolder(run).config, {"OUTPUT_DIR": str(run)}).test_samples()
    by_identity: dict[int, dict[Modality, list[Sample]]] = {}
    for sample in samples:
        by_identity.setdefault(sample.identity, {}).setdefault(sample.modality, []).append(sample)
    both = sorted(identity for identity, images in by_identity.items() if len(images) == len(Modality))
    rng = numpy_generator(seed, _STREAM)
    drawn = sorted(rng.choice(both, min(people, len(both)), replace=False).tolist())
    return [
        by_identity[identity][modality][int(rng.integers(len(by_identity[identity][modality])))]
        for identity in drawn
        for modality in Modality
    ]


def attention_picture(runs: Sequence[Path], *, people: int = 4, seed: int = 0, names: Sequence[str] = ()) -> Single:
    """Draw the overlays of several runs on the same images: one row for each run, labeled by `names` or its folder."""
    samples = chosen_samples(runs[0], people, seed)
    named = names or [run.resolve().name for run in runs]
    maps = {name: attention_maps(run, samples).values for name, run in zip(named, runs, strict=True)}
    words = [[f"id {s.identity}", f"camera {s.camera}", Modality(s.modality).name.lower()] for s in samples]
    title = "Energy of the feature map that the heads read"
    picture = draw_attention([str(s.path) for s in samples], words, maps, Photographs(), title=title)
    return of_image("attention", picture, f"{title}: {', '.join(maps)}")


def _pixels(sample: Sample, size: tuple[int, int], depth: DepthMapping | None) -> np.ndarray:
    pixels, fault = read_pixels(str(sample.path), size, depth)
    if pixels is None:
        raise DataError(f"{sample.path}: {fault}")
    return pixels
