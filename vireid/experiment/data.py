"""The dataset of a run: its listing after all checks, and the images of its sides from the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vireid.config.build import Build
from vireid.config.labels import without_annotation
from vireid.config.validate import protocol_notes
from vireid.core.errors import DataError
from vireid.core.interfaces import Dataset
from vireid.core.paths import normalized_path
from vireid.core.types import DatasetInfo, Sample
from vireid.data.heldout import hold_out
from vireid.data.images.cache import open_images
from vireid.data.images.image_set import ImageSet
from vireid.data.listing import camera_names_of, list_dataset, require_listing
from vireid.engine.distributed import Environment


@dataclass(frozen=True)
class Listing:
    """The images of a dataset without faults; no image was opened.

    Args:
        dataset: The dataset.
        info: Its numbers, with the identities that are trained on.
        test: Test images.
        camera_names: Camera number -> name.
    """

    dataset: Dataset
    info: DatasetInfo
    test: Sequence[Sample]
    camera_names: Mapping[int, str]


def print_notes(environment: Environment, notes: Sequence[str]) -> None:
    """Print a line for each note, in the main process."""
    if environment.is_main:
        for note in notes:
            print(f"note: {note}")


class RunData:
    """The dataset of a configuration.

    Args:
        build: Builds the dataset.
    """

    def __init__(self, build: Build) -> None:
        self.build, self.config = build, build.config

    def dataset(self) -> tuple[Dataset, DatasetInfo]:
        """The dataset and its numbers, after all faults of its listing were reported; no image is opened.

        Raises:
            DataError: With all faults.
        """
        dataset, held = self.build.dataset(), self.config.HELDOUT_IDENTITIES
        require_listing(dataset)
        info = dataset.facts()
        if held >= info.num_ids:
            raise DataError(f"HELDOUT_IDENTITIES = {held}, but the training set has only {info.num_ids} identities")
        info = replace(info, num_ids=info.num_ids - held)
        return dataset, without_annotation(info) if self.build.makes_labels else info

    def listing(self, environment: Environment) -> Listing:
        """The images of the dataset, after the protocols were checked on the test images; prints notes."""
        dataset, info = self.dataset()
        if environment.is_main and (text := list_dataset(dataset).left_out.summary()):
            print(f"{text} (tools/check_data.py lists them)", flush=True)
        test, camera_names = dataset.test(), camera_names_of(dataset)
        print_notes(environment, protocol_notes(self.build, test, camera_names))
        return Listing(dataset, info, test, camera_names)

    def test(self, listing: Listing, environment: Environment) -> ImageSet:
        """The test images."""
        return self.images(listing.test, environment, listing.camera_names)

    def heldout(self, listing: Listing, environment: Environment) -> ImageSet:
        """The images of the held-out identities, from the cache of all training images; empty without any."""
        samples = listing.dataset.train()
        _, rows = hold_out(samples, identities=self.config.HELDOUT_IDENTITIES, seed=self.config.SEED)
        if not rows:
            return ImageSet([], np.zeros((0, *self.config.SIZE, 3), np.uint8), listing.camera_names)
        images = self.images(samples, environment, listing.camera_names)
        return images.part(rows, [samples[row] for row in rows])

    def images(
        self, samples: Sequence[Sample], environment: Environment, camera_names: Mapping[int, str] | None = None
    ) -> ImageSet:
        """Images from the cache; the main process decodes them, the others wait."""
        with environment.accelerator.main_process_first():
            size, folder = tuple(self.config.SIZE), normalized_path(self.config.CACHE_DIR)
            images = open_images(samples, size=size, folder=folder, depth=self.build.depth())
        return ImageSet(samples, images, camera_names or {})
