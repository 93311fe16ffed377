"""Several datasets joined for one training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from vireid.core.errors import ArgumentError, nearest
from vireid.core.interfaces import Dataset, Identified
from vireid.core.registries import DATASETS
from vireid.core.text import counted, listed
from vireid.core.types import DatasetInfo, Sample
from vireid.data.datasets.regdb import RegDB
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.findings import Findings, with_place
from vireid.data.images.image_files import LeftOut
from vireid.data.listing import DatasetListing, list_dataset

_UNKNOWN = DatasetInfo(num_ids=2, num_cameras=2)  # of a part without a placeholder


@runtime_checkable
class NamesAttributes(Protocol):
    """Dataset whose attributes have names."""

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes in their order; empty without attributes. May raise DataError, as `train` does."""
        ...


@DATASETS.register(datasets=DATASETS)
class JoinedDatasets:
    """Several datasets joined for one training (domain generalization).

    Training images are those of all parts, part after part. Identities are numbered one part after the other. Cameras
    of the tested part keep their numbers; those of the other parts follow above, so that no two parts share a camera.
    `Sample.dataset` is the name of the part, which `DatasetShareSampler` and held-out identities use.

    Test images are those of one part, unchanged, so that its protocols apply. To test on several datasets, use
    EVALUATE_ON of a suite, or `vireid eval` with the config of each dataset.

    Attributes have the same names in the same order in every part that has any. Images of a part without attributes
    count as not annotated.

    Args:
        datasets: Name -> dataset, at least two; a part cannot be joined datasets itself.
        test: Name of the part whose test images are the test set; None: the first.

    Raises:
        DataError: With the faults of all parts; for images in two parts, and for attributes that differ. Raised by
            `train`, `test` and `facts`.

    Example:
        >>> parts = {"sysu": SysuMM01(root="SYSU-MM01"), "regdb": RegDB(root="RegDB")}
        >>> JoinedDatasets(datasets=parts, test="regdb").placeholder
        DatasetInfo(num_ids=601, num_cameras=8, num_attributes=0, channels=0, feature_dim=0)
    """

    title = "joined datasets"
    placeholder = DatasetInfo(num_ids=601, num_cameras=8)
    example: ClassVar[dict] = {
        "datasets": {"sysu": SysuMM01(root="datasets/SYSU-MM01"), "regdb": RegDB(root="datasets/RegDB")}
    }

    def __init__(self, *, datasets: Mapping[str, Dataset], test: str | None = None) -> None:
        self.parts = {str(name).lower(): dataset for name, dataset in (datasets or {}).items()}
        if len(self.parts) < 2:
            raise ArgumentError("datasets", f"needs at least two datasets, got {len(self.parts)}")
        if nested := [name for name, dataset in self.parts.items() if isinstance(dataset, JoinedDatasets)]:
            text = f"has joined datasets as a part ({listed(nested)}); name their parts here instead"
            raise ArgumentError("datasets", text)
        self.tested = next(iter(self.parts)) if test is None else str(test).lower()
        if self.tested not in self.parts:
            hint = nearest(self.tested, self.parts)
            raise ArgumentError("test", f"= {test!r} is not a part{hint} (parts: {', '.join(self.parts)})")
        known = [getattr(dataset, "placeholder", _UNKNOWN) for dataset in self.parts.values()]
        self.placeholder = DatasetInfo(
            num_ids=sum(info.num_ids for info in known),
            num_cameras=sum(info.num_cameras for info in known),
            num_attributes=max(info.num_attributes for info in known),
        )
        self._cached: DatasetListing | None = None

    @property
    def checkpoint_key(self) -> dict[str, Any]:
        """Values that a checkpoint must agree in: the datasets of the training, with their splits."""
        return {"data": type(self).__name__, "parts": [_key(dataset) for dataset in self.parts.values()]}

    @property
    def test_key(self) -> Mapping[str, Any]:
        """`checkpoint_key` of the part whose test images are the test set."""
        return _key(self.parts[self.tested])

    @property
    def camera_names(self) -> Mapping[int, str]:
        """Camera number -> name, of parts with named cameras; of parts that are not tested "part: name"."""
        return self._listed().camera_names

    def train(self) -> Sequence[Sample]:
        """List the training images of all parts; identities are contiguous from 0."""
        return self._sound_listing().train

    def test(self) -> Sequence[Sample]:
        """List the test images of the tested part, as it numbers them."""
        return self._sound_listing().test

    def facts(self) -> DatasetInfo:
        """Return the numbers of training identities, cameras and attributes."""
        self._sound_listing()
        infos = [dataset.facts() for dataset in self.parts.values()]
        return DatasetInfo(
            num_ids=sum(info.num_ids for info in infos),
            num_cameras=sum(info.num_cameras for info in infos),
            num_attributes=max(info.num_attributes for info in infos),
        )

    def listing(self) -> DatasetListing:
        """Return the images of all parts that could be listed, with all faults."""
        return self._listed()

    def _sound_listing(self) -> DatasetListing:
        listing = self._listed()
        Findings(listing.findings).raise_if_any("the joined datasets cannot be used")
        return listing

    def _listed(self) -> DatasetListing:
        if self._cached is None:
            self._cached = self._join()
        return self._cached

    def _join(self) -> DatasetListing:
        listings = {name: list_dataset(dataset) for name, dataset in self.parts.items()}
        findings, left_out = Findings(), LeftOut()
        for name, listing in listings.items():
            findings.extend(with_place(listing.findings, name))
            left_out.update(listing.left_out)
        if not findings:
            self._check_attributes(findings)
            _check_paths(listings, findings)
        cameras = _camera_offsets({self.tested: listings[self.tested], **listings})
        train, names, first = [], {}, 0
        for name, listing in listings.items():
            train += [
                replace(sample, identity=first + sample.identity, camera=cameras[name] + sample.camera, dataset=name)
                for sample in listing.train
            ]
            first += len({sample.identity for sample in listing.train})
            prefix = "" if name == self.tested else f"{name}: "
            names |= {cameras[name] + number: prefix + word for number, word in listing.camera_names.items()}
        test = listings[self.tested].test
        return DatasetListing(train, test, tuple(findings), left_out=left_out, camera_names=names)

    def _check_attributes(self, findings: Findings) -> None:
        """Add a fault for parts whose attributes differ in number, names or order."""
        known: dict[str, tuple[int, tuple[str, ...]]] = {}
        for name, dataset in self.parts.items():
            if width := dataset.facts().num_attributes:
                known[name] = width, dataset.attribute_names if isinstance(dataset, NamesAttributes) else ()
        for name, (width, names) in list(known.items())[1:]:
            other, (other_width, other_names) = next(iter(known.items()))
            if width != other_width:
                text = f"has {counted(width, 'attribute')}, {other} has {other_width}"
            elif names and other_names and names != other_names:
                first, second = next(pair for pair in zip(names, other_names) if pair[0] != pair[1])
                text = f"has the attribute {first!r} where {other} has {second!r}"
            else:
                continue
            findings.add(
                f"{text}; joined datasets need the same attributes in the same order, or none (ATTRIBUTES: none)",
                place=name,
            )


def _key(dataset: Dataset) -> dict[str, Any]:
    return {"data": type(dataset).__name__, **(dataset.checkpoint_key if isinstance(dataset, Identified) else {})}


def _check_paths(listings: Mapping[str, DatasetListing], findings: Findings) -> None:
    """Add a fault for images of two parts: their identities would get two labels."""
    first: dict[Path, str] = {}
    for name, listing in listings.items():
        both = [sample.path for sample in listing.train if first.setdefault(sample.path, name) != name]
        if both:
            text = f"{counted(len(both), 'training image')} also in {first[both[0]]} (first: {both[0]})"
            findings.add(f"{text}; a dataset can be joined once", place=name)


def _camera_offsets(listings: Mapping[str, DatasetListing]) -> dict[str, int]:
    """The number to add to the cameras of each part; 0 for the first, the others follow above."""
    offsets: dict[str, int] = {}
    above: int | None = None
    for name, listing in listings.items():
        cameras = {sample.camera for sample in (*listing.train, *listing.test)} or {0}
        offsets[name] = 0 if above is None else above - min(cameras)
        above = offsets[name] + max(cameras) + 1
    return offsets
