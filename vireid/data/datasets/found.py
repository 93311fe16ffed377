"""Data sets that are listed in one go: what is there, everything that is wrong with it, and attributes from a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from vireid.core.errors import DataError
from vireid.core.paths import InputFile, PathText
from vireid.core.types import DatasetInfo, Sample
from vireid.data.attributes import NUM_ATTRIBUTES, AttributeTable, read_attributes, table_faults
from vireid.data.datasets.listing import Faults, folder_of
from vireid.data.faults import faults_of, listed
from vireid.data.images.image_files import LeftOut
from vireid.data.survey import Survey


@dataclass
class Found:
    """The images that could be listed, and every fault of both splits."""

    train: list[Sample]
    test: list[Sample]
    faults: Faults
    table: AttributeTable | None = None
    left_out: LeftOut = field(default_factory=LeftOut)  # while listing; `FoundDataset._left_out` adds the rest


class FoundDataset(ABC):
    """A data set of which a subclass says what `_scan` finds; it is asked once, when the first list is wanted.

    `root`: a folder, relative to the current directory; `~` is understood. `attributes`: a .csv or .xlsx table with the
    columns identity[, camera] and one for each attribute, in which a person is numbered as `_person` says; or None.
    """

    called: ClassVar[str]  # the data set's name in texts
    placeholder: DatasetInfo  # what is known without data

    def __init__(self, *, root: PathText, attributes: InputFile | None) -> None:
        self.root = folder_of(root)
        self.attributes = None if attributes is None else folder_of(attributes)
        if self.attributes is not None:
            self.placeholder = replace(type(self).placeholder, num_attributes=NUM_ATTRIBUTES)
        self._found: Found | None = None

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """What a checkpoint must agree in to belong to this data set and split."""
        return {"data": type(self).__name__}

    def train(self) -> Sequence[Sample]:
        """Training images; identities contiguous from 0."""
        return self._checked().train

    def test(self) -> Sequence[Sample]:
        """Test images; identities as the data set numbers them."""
        return self._checked().test

    def facts(self) -> DatasetInfo:
        """Numbers of identities in training, of cameras and of attributes."""
        found = self._checked()
        width = found.table.width if found.table is not None else 0
        return DatasetInfo(len({sample.identity for sample in found.train}), type(self).placeholder.num_cameras, width)

    def survey(self) -> Survey:
        """What could be listed, the attribute table, every fault of both, and the files that are not used."""
        try:
            found = self._all()
        except DataError as error:
            return Survey([], [], [str(error)])
        left_out = self._left_out(found)
        return Survey(found.train, found.test, found.faults.texts(), found.table, self._person, left_out)

    def _left_out(self, found: Found) -> LeftOut:
        """Files and folders that are not used; a subclass with lists of images adds those that no list names."""
        return found.left_out

    @abstractmethod
    def _scan(self) -> Found:
        """List both splits; DataError where `root` is no such data set at all."""

    def _person(self, sample: Sample) -> int:
        """The number of a person in a table of attributes: the name of the image's folder. ValueError if it is none."""
        return int(sample.path.parent.name)

    def _title(self) -> str:
        return f"{self.root} cannot be used as {self.called}"

    def _checked(self) -> Found:
        found = self._all()
        found.faults.raise_if_any(self._title())
        return found

    def _all(self) -> Found:
        if self._found is None:
            found = self._scan()
            if self.attributes is not None:
                self._annotate(found, self.attributes)
            self._found = found
        return self._found

    def _annotate(self, found: Found, place: Path) -> None:
        """Read the table; what is wrong with it, or between it and a sound listing, joins the faults."""
        sound = not len(found.faults)
        try:
            table = found.table = read_attributes(place)
        except DataError as error:
            for fault in faults_of(error, prefix=f"attributes {place}: "):
                found.faults.add(fault)
            return
        for part in table.unread:
            found.left_out.add(place, part)
        if not sound:  # the people are not known well enough
            return
        samples, nameless = [*found.train, *found.test], []
        people: dict[Path, int] = {}
        for sample in samples:
            try:
                people[sample.path] = self._person(sample)
            except ValueError:
                nameless.append(str(sample.path))
        if nameless:
            found.faults.add(f"attributes {place}: images of people without a number: {listed(nameless, 3)}")
            return
        everyone = set(people.values())
        for fault in table_faults(table, everyone, everyone=everyone):
            found.faults.add(f"attributes {place}: {fault}")

        def annotated(samples: Sequence[Sample]) -> list[Sample]:
            return [replace(s, attributes=table.lookup(s.camera, people[s.path])) for s in samples]

        found.train, found.test = annotated(found.train), annotated(found.test)
