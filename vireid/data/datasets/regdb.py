"""RegDB on disk: `Visible/`, `Thermal/` and `idx/{train,test}_{visible,thermal}_{1..10}.txt`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import ClassVar

from vireid.core.errors import ArgumentError
from vireid.core.paths import InputFile, PathText
from vireid.core.registries import DATASETS
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.folders import Files, check_folders, check_root
from vireid.data.datasets.index_files import (
    check_both_modalities,
    check_entries,
    indexed_paths,
    located,
    ranks,
    read_index,
)
from vireid.data.datasets.listed_dataset import ListedDataset
from vireid.data.findings import Findings
from vireid.data.images.image_files import LeftOut, add_unlisted
from vireid.data.listing import DatasetListing

FOLDERS = ("Visible", "Thermal", "idx")
SPLITS = 10
CAMERAS: Mapping[Modality, int] = {Modality.VISIBLE: 1, Modality.INFRARED: 2}
WORDS: Mapping[Modality, str] = {Modality.VISIBLE: "visible", Modality.INFRARED: "thermal"}
ORIGIN = "RegDB itself is distributed by its authors on request, with the ten splits in idx;"


@DATASETS.register
class RegDB(ListedDataset):
    """RegDB: list the images of one of its ten splits.

    Training and test images are the visible images, then the thermal ones, each in the order of the index file. The
    training label is the rank of the label in the file (the same number if these are contiguous from 0, as in the
    published files). Training and test labels are numbered apart: identity 0 of both are two people. Visible images
    have camera 1, thermal ones camera 2.

    One model is trained for each split; a published result is the mean over all ten (tools/aggregate_trials.py). A
    checkpoint of another split was trained on test identities of this one and is refused.

    Args:
        root: Folder that holds `Visible`, `Thermal` and `idx`, relative to the current directory; `~` is expanded.
        split: Number of the split, 1 to 10 (the papers call it the trial).
        attributes: .csv or .xlsx table (docs/attributes.md) by the numbers of the image folders, or None. The labels of
            the index files are not used, because they start again for the test identities.

    Raises:
        DataError: With all faults of the listing: missing index files, lines of another form, images that do not exist
            or are listed twice, training identities without one of the modalities. Raised by `train`, `test` and
            `facts`.
    """

    title = "RegDB"
    placeholder = DatasetInfo(num_ids=206, num_cameras=2)
    example: ClassVar[dict] = {"root": "datasets/RegDB"}

    def __init__(self, *, root: PathText, split: int = 1, attributes: InputFile | None = None) -> None:
        if not 1 <= split <= SPLITS:
            raise ArgumentError("split", f"must be between 1 and {SPLITS}, got {split}")
        super().__init__(root=root, attributes=attributes)
        self.split = split

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """Values that a checkpoint must agree in to be of this dataset and split."""
        return {**super().checkpoint_key, "split": self.split}

    def _heading(self) -> str:
        return f"{super()._heading()}, split {self.split}"

    def _scan(self) -> DatasetListing:
        check_root(self.root, FOLDERS, title=self.title, layout="regdb", origin=ORIGIN)
        findings = Findings()
        check_folders(self.root, FOLDERS, findings)
        lists = {
            (part, modality): read_index(self.root, index_file(part, modality, self.split), findings)
            for part in ("train", "test")
            for modality in Modality
        }
        files = Files(self.root)
        lists = {key: located(entries, files) for key, entries in lists.items()}
        check_entries(lists.values(), files, findings)
        check_both_modalities(
            *((index_file("train", m, self.split), lists["train", m]) for m in Modality), findings=findings
        )
        rank = ranks(entry for modality in Modality for entry in lists["train", modality])

        def samples(part: str, identity: Callable[[int], int]) -> list[Sample]:
            return [
                Sample(self.root / entry.path, identity(entry.label), modality, CAMERAS[modality])
                for modality in Modality
                for entry in lists[part, modality]
            ]

        return DatasetListing(samples("train", rank.__getitem__), samples("test", int), tuple(findings))

    def _left_out(self, listing: DatasetListing) -> LeftOut:
        """Images that the index files of no split name."""
        all_files = (index_file(*key) for key in itertools.product(("train", "test"), Modality, range(1, SPLITS + 1)))
        paths = indexed_paths(self.root, (name for name in all_files if (self.root / name).is_file()))
        left_out = LeftOut()
        left_out.update(listing.left_out)
        add_unlisted([self.root / name for name in FOLDERS[:2]], paths, "image that no index file names", left_out)
        return left_out


def index_file(part: str, modality: Modality, split: int) -> str:
    """Return the name of an index file relative to the root.

    Example:
        >>> index_file("train", Modality.INFRARED, 3)
        'idx/train_thermal_3.txt'
    """
    return f"idx/{part}_{WORDS[modality]}_{split}.txt"
