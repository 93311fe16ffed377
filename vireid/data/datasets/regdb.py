"""RegDB on disk: `Visible/`, `Thermal/` and `idx/{train,test}_{visible,thermal}_{1..10}.txt` (protocols.md 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vireid.core.errors import UserError
from vireid.core.registries import DATASETS
from vireid.core.types import Facts, Modality, Sample
from vireid.data.datasets.listing import (
    Entry,
    Faults,
    Files,
    check_both_modalities,
    check_entries,
    check_folders,
    check_root,
    ranks,
    read_index,
)

FOLDERS = ("Visible", "Thermal", "idx")
TRIALS = 10
CAMERAS: Mapping[Modality, int] = {Modality.VISIBLE: 1, Modality.INFRARED: 2}
WORDS: Mapping[Modality, str] = {Modality.VISIBLE: "visible", Modality.INFRARED: "thermal"}
ORIGIN = "RegDB itself is given out by its authors on request, with the ten splits in idx;"


@dataclass
class _Listing:
    train: dict[Modality, list[Entry]]
    test: dict[Modality, list[Entry]]


@DATASETS.register
class RegDB:
    """Lists the images of one trial of RegDB, opens none of them.

    `root` is the folder that holds `Visible`, `Thermal` and `idx`; relative to the current directory, `~` is
    understood. `trial`: 1 to 10. Each is a split of its own, for which a model of its own is trained; a result is the
    mean over all ten (tools/aggregate_trials.py). A checkpoint of another trial has seen test people: it is refused.

    Training and testing list the visible images, then the thermal ones, each in the order of the index file. The label
    is the rank of the file's label (the same number where they run from 0, as in the real files). Training and test
    labels are numbered apart: identity 0 of both are two people. Visible images are of camera 1, thermal ones of 2.

    Every fault of the listing is reported in one DataError: missing index files, lines that are no pair of path and
    label, images that are not there, repeated or in two lists, people to train on in one modality only.
    """

    placeholder: ClassVar[Facts] = Facts(num_ids=206, num_cameras=2)
    example: ClassVar[dict] = {"root": "datasets/RegDB"}

    def __init__(self, *, root: str, trial: int = 1) -> None:
        if not 1 <= trial <= TRIALS:
            raise UserError(f"trial must be between 1 and {TRIALS}, got {trial}")
        self.root, self.trial = Path(root).expanduser().absolute(), trial
        self._listing: _Listing | None = None

    @property
    def identity(self) -> dict[str, str | int]:
        """What a checkpoint must agree in to belong to this data set and split."""
        return {"data": "RegDB", "trial": self.trial}

    def train(self) -> list[Sample]:
        """Training images; identities contiguous from 0."""
        lists = self._checked().train
        rank = ranks(entry for entries in lists.values() for entry in entries)
        return [self._sample(entry, modality, rank[entry.label]) for modality in lists for entry in lists[modality]]

    def test(self) -> list[Sample]:
        """Test images; identities as the index files number them."""
        lists = self._checked().test
        return [self._sample(entry, modality, entry.label) for modality in lists for entry in lists[modality]]

    def facts(self) -> Facts:
        """Numbers of identities in training and of cameras."""
        lists = self._checked().train
        return Facts(num_ids=len(ranks(entry for entries in lists.values() for entry in entries)), num_cameras=2)

    def _sample(self, entry: Entry, modality: Modality, identity: int) -> Sample:
        return Sample(self.root / entry.path, identity, modality, CAMERAS[modality])

    def _checked(self) -> _Listing:
        if self._listing is None:
            self._listing = _scan(self.root, self.trial)
        return self._listing


def index_file(part: str, modality: Modality, trial: int) -> str:
    """Name of an index file relative to the root.

    >>> index_file("train", Modality.INFRARED, 3)
    'idx/train_thermal_3.txt'
    """
    return f"idx/{part}_{WORDS[modality]}_{trial}.txt"


def _scan(root: Path, trial: int) -> _Listing:
    """Read and check the four index files of a trial; DataError with every fault that was found."""
    check_root(root, FOLDERS, called="RegDB", layout="regdb", origin=ORIGIN)
    faults = Faults()
    check_folders(root, FOLDERS, faults)
    listing = _Listing(
        train={modality: _read(root, "train", modality, trial, faults) for modality in Modality},
        test={modality: _read(root, "test", modality, trial, faults) for modality in Modality},
    )
    lists: dict[str, Sequence[Entry]] = {
        index_file(part, modality, trial): entries
        for part, of_part in (("train", listing.train), ("test", listing.test))
        for modality, entries in of_part.items()
    }
    check_entries(lists, Files(root), faults)
    files = index_file("train", Modality.VISIBLE, trial), index_file("train", Modality.INFRARED, trial)
    check_both_modalities(listing.train[Modality.VISIBLE], listing.train[Modality.INFRARED], files, faults)
    faults.raise_if_any(f"{root} cannot be used as RegDB, trial {trial}")
    return listing


def _read(root: Path, part: str, modality: Modality, trial: int, faults: Faults) -> list[Entry]:
    return read_index(root, index_file(part, modality, trial), faults)
