"""List the images of a dataset with every fault of the listing, before an image is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from vireid.core.errors import DataError, Finding
from vireid.core.interfaces import Dataset, NamesCameras
from vireid.core.labels import fits_int64, shortened, str_of
from vireid.core.text import listed
from vireid.core.types import Modality, Sample
from vireid.data.attributes import AttributeTable
from vireid.data.findings import Findings, findings_of
from vireid.data.images.image_files import LeftOut


@dataclass(frozen=True)
class DatasetListing:
    """What a dataset has on disk.

    Args:
        train: Training images that could be listed.
        test: Test images that could be listed.
        findings: Faults of both splits. Training is refused if there are any.
        table: Attribute table, if the dataset has one.
        identity_of: Maps a sample to the number of its identity in `table`.
        left_out: Files and folders that are not used.
        camera_names: Camera number -> name; empty if cameras have no names.
    """

    train: Sequence[Sample]
    test: Sequence[Sample]
    findings: tuple[Finding, ...] = ()
    table: AttributeTable | None = None
    identity_of: Callable[[Sample], int] | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    camera_names: Mapping[int, str] = field(default_factory=dict)

    def splits(self) -> dict[str, Sequence[Sample]]:
        """The images of each split by its name."""
        return {"train": self.train, "test": self.test}


@runtime_checkable
class ProvidesListing(Protocol):
    """Dataset that can list its sound images next to its faults; `findings` is all that `train()` would raise."""

    def listing(self) -> DatasetListing:
        """Return the listing of both splits. Opens no image and raises no DataError."""
        ...


def list_dataset(dataset: Dataset) -> DatasetListing:
    """List a dataset; nothing is raised for its faults.

    The listing is that of the dataset (`ProvidesListing`), or is made of what `train()`, `test()` and `facts()` return
    or raise.
    """
    if isinstance(dataset, ProvidesListing):
        listing = dataset.listing()
        return replace(
            listing,
            findings=(*listing.findings, *_out_of_range(listing.train, listing.test)),
            camera_names=listing.camera_names or camera_names_of(dataset),
        )
    train, test, errors = _call_all(dataset)
    findings = [finding for error in errors for finding in findings_of(error)]
    findings += _apparent(train, test, refused=bool(errors))
    return DatasetListing(train, test, tuple(dict.fromkeys(findings)), camera_names=camera_names_of(dataset))


def camera_names_of(dataset: Dataset) -> Mapping[int, str]:
    """The names of the cameras by number; empty if there are none or the dataset cannot be listed."""
    try:
        return dataset.camera_names if isinstance(dataset, NamesCameras) else {}
    except DataError:
        return {}


def require_listing(dataset: Dataset) -> None:
    """Raise one DataError with every fault of both splits; opens no image."""
    train, test, errors = _call_all(dataset)
    if len(errors) == 1:
        raise errors[0]
    findings = Findings(finding for error in errors for finding in findings_of(error))
    if not errors:
        findings.extend(_apparent(train, test, refused=False))
    findings.raise_if_any("the dataset cannot be used")


def identities_without(samples: Sequence[Sample]) -> dict[Modality, list[int]]:
    """Modality -> sorted identities without an image of it; modalities that all identities have are omitted."""
    identities = {modality: {s.identity for s in samples if s.modality == modality} for modality in Modality}
    all_identities = set().union(*identities.values())
    return {
        modality: sorted(all_identities - present)
        for modality, present in identities.items()
        if all_identities - present
    }


def _call_all(dataset: Dataset) -> tuple[Sequence[Sample], Sequence[Sample], list[DataError]]:
    """Both splits, empty where the dataset raises, and the distinct errors."""
    errors: dict[tuple[str, tuple[Finding, ...]], DataError] = {}

    def call(method: Callable[[], Any]) -> Any:
        try:
            return method()
        except DataError as error:
            errors.setdefault((error.text, error.findings), error)
        except OSError as error:
            place = error.filename or "a folder of the dataset"
            unreadable = DataError(f"{place} cannot be read: {error.strerror or error}")
            errors.setdefault((unreadable.text, ()), unreadable)
        return []

    train, test = call(dataset.train), call(dataset.test)
    call(dataset.facts)
    return train, test, list(errors.values())


def _apparent(train: Sequence[Sample], test: Sequence[Sample], *, refused: bool) -> Findings:
    """Faults that the lists alone show; an empty list is no fault if the dataset refused to list."""
    findings = Findings()
    for name, samples in (("train", train), ("test", test)):
        if not samples and not refused:
            findings.add(f"the {name} split has no image")
    if out_of_range := _out_of_range(train, test):
        findings.extend(out_of_range)
        return findings
    for modality, identities in identities_without(train).items():
        findings.add(f"training identities (labels) without {modality.name.lower()} images: {listed(identities)}")
    return findings


def _out_of_range(train: Sequence[Sample], test: Sequence[Sample]) -> list[Finding]:
    """A fault for identities and cameras that are not 64-bit integers, with the first images."""
    wrong = [
        f"{sample.path}: {name} {shortened(str_of(value))}"
        for sample in (*train, *test)
        for name, value in (("identity", sample.identity), ("camera", sample.camera))
        if not fits_int64(value)
    ]
    return [Finding(f"labels that are not 64-bit integers: {listed(wrong, 5)}")] if wrong else []
