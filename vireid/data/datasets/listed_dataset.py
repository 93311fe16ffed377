"""Base class of datasets that list both splits at once, with all faults and with attributes from a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from vireid.core.errors import DataError
from vireid.core.paths import InputFile, PathText
from vireid.core.text import listed
from vireid.core.types import DatasetInfo, Sample
from vireid.data.attributes import NUM_ATTRIBUTES, AttributeTable, read_attributes, table_findings
from vireid.data.datasets.folders import folder_of
from vireid.data.findings import Findings, findings_of, with_place
from vireid.data.images.image_files import LeftOut
from vireid.data.listing import DatasetListing


class ListedDataset(ABC):
    """Dataset that a subclass lists in `_scan`, once, when the first list is requested.

    Args:
        root: Folder of the dataset, relative to the current directory; `~` is expanded.
        attributes: .csv or .xlsx table with the columns identity[, camera] and one column for each attribute, or None.
            Identities are numbered as in `_identity_of`.
    """

    title: ClassVar[str]  # the name of the dataset in messages
    states_origin: ClassVar[bool] = True  # whether the name of the class states which images these are
    placeholder: DatasetInfo  # what is known without files

    def __init__(self, *, root: PathText, attributes: InputFile | None) -> None:
        self.root = folder_of(root)
        self.attributes = None if attributes is None else folder_of(attributes)
        if self.attributes is not None:
            self.placeholder = replace(type(self).placeholder, num_attributes=NUM_ATTRIBUTES)
        self._cached: DatasetListing | None = None

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """Values that a checkpoint must agree in to be of this dataset and split."""
        return {"data": type(self).__name__}

    def train(self) -> Sequence[Sample]:
        """List the training images; identities are contiguous from 0."""
        return self._sound_listing().train

    def test(self) -> Sequence[Sample]:
        """List the test images; identities as the dataset numbers them."""
        return self._sound_listing().test

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes in their order; empty without attributes."""
        table = self._sound_listing().table
        return () if table is None else table.names

    def facts(self) -> DatasetInfo:
        """Return the numbers of training identities, cameras and attributes."""
        listing = self._sound_listing()
        width = listing.table.width if listing.table is not None else 0
        identities = {sample.identity for sample in listing.train}
        return DatasetInfo(len(identities), type(self).placeholder.num_cameras, width)

    def listing(self) -> DatasetListing:
        """Return the images that could be listed, the attribute table, all faults, and the files that are not used."""
        try:
            listing = self._listed()
        except DataError as error:
            return DatasetListing([], [], findings_of(error))
        return replace(listing, left_out=self._left_out(listing))

    def _left_out(self, listing: DatasetListing) -> LeftOut:
        """Files and folders that are not used; a subclass with lists of images adds those that no list names."""
        return listing.left_out

    @abstractmethod
    def _scan(self) -> DatasetListing:
        """List both splits. Raises DataError if `root` does not have the layout of the dataset at all."""

    def _identity_of(self, sample: Sample) -> int:
        """The number of the identity in the attribute table: the name of the image's folder.

        Raises:
            ValueError: If the name is not a number.
        """
        return int(sample.path.parent.name)

    def _read_table(self, place: Path) -> AttributeTable:
        return read_attributes(place)

    def _heading(self) -> str:
        """The first line of the error with all faults."""
        return f"{self.root} cannot be used as {self.title}"

    def _sound_listing(self) -> DatasetListing:
        listing = self._listed()
        Findings(listing.findings).raise_if_any(self._heading())
        return listing

    def _listed(self) -> DatasetListing:
        if self._cached is None:
            listing = self._scan()
            self._cached = listing if self.attributes is None else self._annotated(listing, self.attributes)
        return self._cached

    def _annotated(self, listing: DatasetListing, place: Path) -> DatasetListing:
        """Read the attribute table and attach its rows; its faults join those of the listing.

        Identities are compared with the table only if the listing has no faults: otherwise some may be missing.
        """
        findings, heading = Findings(listing.findings), f"attributes {place}"
        try:
            table = self._read_table(place)
        except DataError as error:
            findings.extend(findings_of(error, place=heading))
            return replace(listing, findings=tuple(findings))
        left_out = LeftOut()
        left_out.update(listing.left_out)
        for part in table.unread:
            left_out.add(place, part)
        listing = replace(listing, table=table, identity_of=self._identity_of, left_out=left_out)
        identities: dict[Path, int] = {}
        unnumbered = []
        for sample in (*listing.train, *listing.test):
            try:
                identities[sample.path] = self._identity_of(sample)
            except ValueError:
                unnumbered.append(str(sample.path))
        if unnumbered:
            if not findings:
                findings.add(f"images of identities without a number: {listed(unnumbered, 3)}", place=heading)
            return replace(listing, findings=tuple(findings))
        if not findings:
            present = set(identities.values())
            findings.extend(with_place(table_findings(table, present, all_identities=present), heading))

        def annotate(samples: Sequence[Sample]) -> list[Sample]:
            return [replace(s, attributes=table.lookup(s.camera, identities[s.path])) for s in samples]

        return replace(listing, train=annotate(listing.train), test=annotate(listing.test), findings=tuple(findings))
