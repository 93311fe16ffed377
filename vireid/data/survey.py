"""What a data set lists and everything that is wrong with the listing, before any image is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from vireid.core.errors import DataError
from vireid.core.interfaces import Dataset, NamesCameras
from vireid.core.labels import fits_int64, shortened, str_of
from vireid.core.types import Modality, Sample
from vireid.data.attributes import AttributeTable
from vireid.data.faults import faults_of, listed, raise_faults
from vireid.data.images.image_files import LeftOut


@dataclass(frozen=True)
class Survey:
    """The images that could be listed, every fault because of which training would be refused, and what is not used."""

    train: Sequence[Sample]
    test: Sequence[Sample]
    faults: Sequence[str] = ()
    table: AttributeTable | None = None
    person: Callable[[Sample], int] | None = None  # the number of a sample's person in the table
    left_out: LeftOut = field(default_factory=LeftOut)  # files and folders of the data set that are not used
    camera_names: Mapping[int, str] = field(default_factory=dict)  # number -> name, where cameras have names

    def splits(self) -> dict[str, Sequence[Sample]]:
        """The lists by the name of their split."""
        return {"train": self.train, "test": self.test}


@runtime_checkable
class Surveyed(Protocol):
    """For data sets that can list what is sound beside what is broken; `faults` is all that `train()` would raise."""

    def survey(self) -> Survey:
        """The images that could be listed and every fault of both splits; opens no image, raises no DataError."""
        ...


def survey(dataset: Dataset) -> Survey:
    """The data set's own survey, or one made from what `train()`, `test()` and `facts()` return or raise."""
    if isinstance(dataset, Surveyed):
        found = dataset.survey()
        faults = [*found.faults, *_out_of_range(found.train, found.test)]
        return replace(found, faults=faults, camera_names=found.camera_names or camera_names_of(dataset))
    train, test, errors = _asked(dataset)
    faults = [fault for error in errors for fault in faults_of(error)]
    faults = list(dict.fromkeys([*faults, *_obvious(train, test, bool(errors))]))
    return Survey(train, test, faults, camera_names=camera_names_of(dataset))


def camera_names_of(dataset: Dataset) -> Mapping[int, str]:
    """The names of the dataset's cameras by number; empty where it has none or cannot be listed."""
    try:
        return dataset.camera_names if isinstance(dataset, NamesCameras) else {}
    except DataError:
        return {}


def require_listing(dataset: Dataset) -> None:
    """Raise one DataError with every fault of both splits; no image is opened."""
    train, test, errors = _asked(dataset)
    if len(errors) == 1:
        raise errors[0]
    faults = [fault for error in errors for fault in faults_of(error)] or _obvious(train, test, False)
    if faults:
        raise_faults("the data set cannot be used", faults)


def one_modality(samples: Sequence[Sample]) -> dict[Modality, list[int]]:
    """Modality -> identities that have no image of it, sorted; modalities that nobody lacks are left out."""
    seen = {modality: {s.identity for s in samples if s.modality == modality} for modality in Modality}
    everyone = set().union(*seen.values())
    return {modality: sorted(everyone - there) for modality, there in seen.items() if everyone - there}


def _asked(dataset: Dataset) -> tuple[Sequence[Sample], Sequence[Sample], list[DataError]]:
    """Both lists, empty where refused, and the refusals, each text once."""
    errors: dict[str, DataError] = {}

    def ask(method: Callable[[], Any]) -> Any:
        try:
            return method()
        except DataError as error:
            errors.setdefault(str(error), error)
        except OSError as error:
            text = f"{error.filename or 'a folder of the data set'} cannot be read: {error.strerror or error}"
            errors.setdefault(text, DataError(text))
        return []

    train, test = ask(dataset.train), ask(dataset.test)
    ask(dataset.facts)
    return train, test, list(errors.values())


def _obvious(train: Sequence[Sample], test: Sequence[Sample], refused: bool) -> list[str]:
    """Faults that can be seen from the lists alone; an empty list is no fault where the data set refused to list."""
    faults = (
        [] if refused else [f"the {name} split has no image" for name, s in (("train", train), ("test", test)) if not s]
    )
    if strange := _out_of_range(train, test):
        return [*faults, *strange]
    for modality, identities in one_modality(train).items():
        faults.append(f"training identities (labels) without {modality.name.lower()} images: {listed(identities)}")
    return faults


def _out_of_range(train: Sequence[Sample], test: Sequence[Sample]) -> list[str]:
    """Identities and cameras that are no 64-bit integers, the first few with their image."""
    wrong = [
        f"{sample.path}: {name} {shortened(str_of(value))}"
        for sample in (*train, *test)
        for name, value in (("identity", sample.identity), ("camera", sample.camera))
        if not fits_int64(value)
    ]
    return [f"labels that are not 64-bit integers: {listed(wrong, 5)}"] if wrong else []
