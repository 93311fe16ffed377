"""RegDB on disk: `Visible/`, `Thermal/` and `idx/{train,test}_{visible,thermal}_{1..10}.txt`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import ClassVar

from vireid.core.errors import UserError
from vireid.core.paths import InputFile, PathText
from vireid.core.registries import DATASETS
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.found import Found, FoundDataset
from vireid.data.datasets.listing import (
    Faults,
    Files,
    check_both_modalities,
    check_entries,
    check_folders,
    check_root,
    indexed_paths,
    located,
    ranks,
    read_index,
)
from vireid.data.images.image_files import LeftOut, add_unlisted

FOLDERS = ("Visible", "Thermal", "idx")
TRIALS = 10
CAMERAS: Mapping[Modality, int] = {Modality.VISIBLE: 1, Modality.INFRARED: 2}
WORDS: Mapping[Modality, str] = {Modality.VISIBLE: "visible", Modality.INFRARED: "thermal"}
ORIGIN = "RegDB itself is given out by its authors on request, with the ten splits in idx;"


@DATASETS.register
class RegDB(FoundDataset):
    """Lists the images of one trial of RegDB, opens none of them.

    `root` is the folder that holds `Visible`, `Thermal` and `idx`; relative to the current directory, `~` is
    understood. `trial`: 1 to 10. Each is a split of its own, for which a model of its own is trained; a result is the
    mean over all ten (tools/aggregate_trials.py). A checkpoint of another trial has seen test people: it is refused.

    Training and testing list the visible images, then the thermal ones, each in the order of the index file. The label
    is the rank of the file's label (the same number where they run from 0, as in the real files). Training and test
    labels are numbered apart: identity 0 of both are two people. Visible images are of camera 1, thermal ones of 2.

    `attributes`: a .csv or .xlsx table (docs/attributes.md) in which a person has the number of the image's folder; the
    numbers of the index files are not used, because they begin again for the test people.

    Every fault of the listing is reported in one DataError: missing index files, lines that are no pair of path and
    label, images that are not there, repeated or in two lists, people to train on in one modality only.
    """

    called = "RegDB"
    placeholder = DatasetInfo(num_ids=206, num_cameras=2)
    example: ClassVar[dict] = {"root": "datasets/RegDB"}

    def __init__(self, *, root: PathText, trial: int = 1, attributes: InputFile | None = None) -> None:
        if not 1 <= trial <= TRIALS:
            raise UserError(f"trial must be between 1 and {TRIALS}, got {trial}")
        super().__init__(root=root, attributes=attributes)
        self.trial = trial

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """What a checkpoint must agree in to belong to this data set and split."""
        return {**super().checkpoint_key, "trial": self.trial}

    def _title(self) -> str:
        return f"{super()._title()}, trial {self.trial}"

    def _scan(self) -> Found:
        check_root(self.root, FOLDERS, called=self.called, layout="regdb", origin=ORIGIN)
        faults = Faults()
        check_folders(self.root, FOLDERS, faults)
        lists = {
            (part, modality): read_index(self.root, index_file(part, modality, self.trial), faults)
            for part in ("train", "test")
            for modality in Modality
        }
        files = Files(self.root)
        lists = {key: located(entries, files) for key, entries in lists.items()}
        check_entries(lists.values(), files, faults)
        check_both_modalities(
            *((index_file("train", m, self.trial), lists["train", m]) for m in Modality), faults=faults
        )
        rank = ranks(entry for modality in Modality for entry in lists["train", modality])

        def samples(part: str, identity: Callable[[int], int]) -> list[Sample]:
            return [
                Sample(self.root / entry.path, identity(entry.label), modality, CAMERAS[modality])
                for modality in Modality
                for entry in lists[part, modality]
            ]

        return Found(samples("train", rank.__getitem__), samples("test", int), faults)

    def _left_out(self, found: Found) -> LeftOut:
        """Images that the index files of no trial name."""
        every = itertools.product(("train", "test"), Modality, range(1, TRIALS + 1))
        listed = indexed_paths(self.root, (name for one in every if (self.root / (name := index_file(*one))).is_file()))
        left_out = LeftOut()
        left_out.update(found.left_out)
        add_unlisted([self.root / name for name in FOLDERS[:2]], listed, "image that no index file names", left_out)
        return left_out


def index_file(part: str, modality: Modality, trial: int) -> str:
    """Name of an index file relative to the root.

    >>> index_file("train", Modality.INFRARED, 3)
    'idx/train_thermal_3.txt'
    """
    return f"idx/{part}_{WORDS[modality]}_{trial}.txt"
