"""SYSU-MM01 on disk: `cam{1..6}/{id:04d}/*.jpg` and `exp/{train_id,val_id,test_id}.txt`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from vireid.core.errors import DataError, nearest
from vireid.core.paths import InputFile, PathText
from vireid.core.registries import DATASETS
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.attributes import NUM_ATTRIBUTES, AttributeTable, read_sysu_attributes, table_faults
from vireid.data.datasets.listing import folder_of, images_in, read_identities, subfolders
from vireid.data.faults import faults_of, listed, raise_faults
from vireid.data.images.image_files import LeftOut
from vireid.data.survey import Survey

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
CAMERAS = tuple(sorted(VISIBLE_CAMERAS + INFRARED_CAMERAS))
ID_FILES = ("train_id.txt", "val_id.txt", "test_id.txt")

Folders = dict[tuple[int, str], list[str]]  # (camera, name of the identity's folder) -> image names, sorted


@dataclass
class Listing:
    """What is on disk: identities of each part as zero-padded names, sorted, the images of each folder, all faults."""

    train: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    folders: Folders = field(default_factory=dict)
    table: AttributeTable | None = None
    faults: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def images(self, name: str, cameras: Iterable[int]) -> bool:
        return any(self.folders.get((camera, name)) for camera in cameras)


@DATASETS.register
class SysuMM01:
    """Lists the images of SYSU-MM01, opens none of them.

    `root` is the folder that holds `cam1` .. `cam6` and `exp`; relative to the current directory, `~` is understood.
    `attributes`: a folder or zip with the released `cam{n}_att.mat` files, a .csv or .xlsx table, or None.

    Training = train and val identities together, in the order of the released pre-processing: identities by their
    zero-padded names, of each the visible cameras 1, 2, 4, 5, then the infrared ones 3, 6, files by name. The label is
    the rank of the identity. Testing = all images of the test identities in all six cameras, in the order (identity,
    camera, name). A missing (camera, identity) folder is skipped, as the protocol says.

    Every fault of the listing is reported in one DataError. Departs from the released code: paths are taken apart by
    component; files that are no images by their suffix, and hidden ones, are left out and counted in `survey()` (the
    released code would sample a Thumbs.db); identity lists are read to their end; labels are ranks always (there they
    follow the order of a Python set).
    """

    placeholder: DatasetInfo = DatasetInfo(num_ids=395, num_cameras=6)
    example: ClassVar[dict] = {"root": "datasets/SYSU-MM01"}

    def __init__(self, *, root: PathText, attributes: InputFile | None = None) -> None:
        self.root = folder_of(root)
        self.attributes = None if attributes is None else folder_of(attributes)
        self.placeholder = DatasetInfo(
            num_ids=395, num_cameras=6, num_attributes=NUM_ATTRIBUTES if self.attributes is not None else 0
        )
        self._listing: Listing | None = None

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """What a checkpoint must agree in to belong to this data set."""
        return {"data": "SysuMM01"}

    def train(self) -> list[Sample]:
        """Training images; identities contiguous from 0."""
        return self._train(self._checked())

    def test(self) -> list[Sample]:
        """Images of the test identities; identities as the data set numbers them."""
        return self._test(self._checked())

    def facts(self) -> DatasetInfo:
        """Numbers of identities in training, of cameras and of attributes."""
        listing = self._checked()
        width = listing.table.width if listing.table is not None else 0
        return DatasetInfo(num_ids=len(listing.train), num_cameras=len(CAMERAS), num_attributes=width)

    def survey(self) -> Survey:
        """What could be listed, the attribute table, and every fault of both."""
        try:
            listing = self._found()
        except DataError as error:
            return Survey([], [], [str(error)])
        train, test = self._train(listing), self._test(listing)
        return Survey(train, test, listing.faults, listing.table, _number, listing.left_out)

    def _train(self, listing: Listing) -> list[Sample]:
        return samples_of(self.root, listing, list(enumerate(listing.train)), VISIBLE_CAMERAS + INFRARED_CAMERAS)

    def _test(self, listing: Listing) -> list[Sample]:
        return samples_of(self.root, listing, [(int(name), name) for name in listing.test], CAMERAS)

    def _checked(self) -> Listing:
        listing = self._found()
        if listing.faults:
            raise_faults(f"{self.root} cannot be used as SYSU-MM01", listing.faults)
        return listing

    def _found(self) -> Listing:
        if self._listing is None:
            self._listing = _scan(self.root)
            if self.attributes is not None:
                add_attributes(self._listing, self.attributes)
        return self._listing


def _number(sample: Sample) -> int:
    return int(sample.path.parent.name)


def samples_of(
    root: Path, listing: Listing, identities: Sequence[tuple[int, str]], cameras: Sequence[int]
) -> list[Sample]:
    """The images of (identity to write down, name of its folder) pairs in these cameras, with their attributes."""
    samples = []
    for identity, name in identities:
        for camera in cameras:
            modality = Modality.VISIBLE if camera in VISIBLE_CAMERAS else Modality.INFRARED
            folder = root / f"cam{camera}" / name
            attributes = None if listing.table is None else listing.table.lookup(camera, int(name))
            for file in listing.folders.get((camera, name), ()):
                samples.append(Sample(folder / file, identity, modality, camera, attributes))
    return samples


def add_attributes(listing: Listing, place: Path) -> None:
    """Read the table; what is wrong with it, or between it and a sound listing, joins the faults."""
    try:
        listing.table = read_sysu_attributes(place)
    except DataError as error:
        listing.faults += faults_of(error, prefix=f"attributes {place}: ")
        return
    for part in listing.table.unread:
        listing.left_out.add(place, part)
    if not listing.faults:  # otherwise the people are not known well enough
        everyone = {int(name) for name in (*listing.train, *listing.test)}
        faults = table_faults(listing.table, everyone, everyone=everyone)
        listing.faults += [f"attributes {place}: {fault}" for fault in faults]


def _scan(root: Path) -> Listing:
    """All parts of the data set."""
    return list_parts(root, ID_FILES)


def list_parts(root: Path, files: Sequence[str]) -> Listing:
    """List the parts of the data set whose identities stand in `files`; faults are collected in the listing.

    Errors: DataError where the folder is not SYSU-MM01 at all.
    """
    _check_layout(root)
    problems: list[str] = []
    missing = [f"cam{camera}" for camera in CAMERAS if not (root / f"cam{camera}").is_dir()]
    if missing:
        problems.append(
            f"{listed(missing)} missing; unpack the whole archive"
            " (a camera that is meant to be without images needs an empty folder)"
        )
    parts = {name: read_identities(root / "exp" / name, f"exp/{name}", problems) for name in files}
    for left, right in itertools.combinations(files, 2):
        both = sorted(set(parts[left]) & set(parts[right]))
        if both:
            problems.append(f"identities in both exp/{left} and exp/{right}: {listed(both)}")
    *training, test = ID_FILES
    trained = {name for file in training for name in parts.get(file, ())}
    listing = Listing(sorted(trained), sorted(set(parts.get(test, ()))))
    used = {name for file in ID_FILES for name in parts.get(file) or read_identities(root / "exp" / file, file, [])}
    listing.folders, names = _list_images(root, used, problems, listing.left_out)
    listing.faults = problems + _check_identities(listing, names)
    return listing


def _check_layout(root: Path) -> None:
    """DataError if this is no SYSU-MM01 folder at all: then a list of faults would only hide that."""
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        beside = subfolders(root.parent)
        raise DataError(
            f"the data folder {root} {what}{nearest(root.name, beside)}"
            "\n  DATA.ROOT is the folder that holds cam1 .. cam6 and exp."
            "\n  SYSU-MM01 itself is given out by its authors after a signed agreement;"
            "\n  tools/make_synthetic.py --layout sysu --out DIR writes a synthetic data set of the same form"
        )
    present = subfolders(root)
    if any(f"cam{camera}" in present for camera in CAMERAS):
        return
    for child in present:  # the usual mistake: one folder too high
        if any((root / child / f"cam{camera}").is_dir() for camera in CAMERAS):
            raise DataError(
                f"{root} holds no cam1 .. cam6, but its folder {child!r} does: set DATA.ROOT to {root / child}"
            )
    if root.name.lower() in {f"cam{camera}" for camera in CAMERAS}:  # one too low
        raise DataError(f"{root} is a folder of one camera: set DATA.ROOT to {root.parent}")
    shown = f" (it holds {listed(present)})" if present else " (it holds no folders)"
    hint = next((text for name in present if (text := nearest(name, ["cam1"]))), "")
    raise DataError(f"{root} has not the layout of SYSU-MM01: no folder is named cam1 .. cam6{shown}{hint}")


def _list_images(
    root: Path, used: Collection[str], problems: list[str], left_out: LeftOut
) -> tuple[Folders, dict[int, list[str]]]:
    """Image names of each (camera, identity) folder, and the names of all folders of each camera.

    `used`: identities of all lists. Folders of others, and of other cameras, are added to `left_out` as a whole.
    """
    folders: Folders = {}
    names: dict[int, list[str]] = {camera: [] for camera in CAMERAS}
    closed: list[str] = []
    for camera in CAMERAS:
        place = root / f"cam{camera}"
        names[camera] = _listable(subfolders, place, left_out, closed)
        for name in names[camera]:
            inside = LeftOut()
            folders[camera, name] = _listable(images_in, place / name, inside, closed)
            if name in used:
                left_out.update(inside)
            else:
                left_out.add(place / name, "folder of an identity that no list in exp names")
    for name in subfolders(root):
        if re.fullmatch(r"cam\d+", name, re.IGNORECASE) and name not in {f"cam{camera}" for camera in CAMERAS}:
            left_out.add(root / name, "folder of a camera that SYSU-MM01 does not have")
    if closed:
        problems.append(f"folders that cannot be listed: {listed(closed)}; change their permissions")
    return folders, names


def _listable(
    names_in: Callable[[Path, LeftOut], list[str]], folder: Path, left_out: LeftOut, closed: list[str]
) -> list[str]:
    try:
        return names_in(folder, left_out)
    except OSError as error:
        closed.append(f"{folder} ({error.strerror or error})")
        return []


def _check_identities(listing: Listing, names: dict[int, list[str]]) -> list[str]:
    problems = []
    if not any(names.values()):
        return ["no camera folder holds any identity folder (cam1/0001, ...)"]
    absent = [
        name for name in (*listing.train, *listing.test) if not any((c, name) in listing.folders for c in CAMERAS)
    ]
    if absent:
        padded = {f"{int(n):04d}": n for ns in names.values() for n in ns if n.isascii() and n.isdecimal()}
        odd = next((padded[name] for name in absent if name in padded), None)
        hint = f"; there is a folder {odd!r}, but names have four digits" if odd is not None else ""
        problems.append(f"identities without any folder: {listed(absent)}{hint}")
    present = [name for name in listing.train if name not in set(absent)]
    for cameras, word in ((INFRARED_CAMERAS, "infrared"), (VISIBLE_CAMERAS, "visible")):
        alone = [name for name in present if not listing.images(name, cameras)]
        if alone:
            problems.append(
                f"training identities without {word} images (cameras {', '.join(map(str, cameras))}): {listed(alone)};"
                " complete them or take them out of exp/train_id.txt and exp/val_id.txt"
            )
    empty = [
        f"cam{camera}/{name}"
        for name in listing.test
        for camera in VISIBLE_CAMERAS
        if listing.folders.get((camera, name)) == []
    ]
    if empty:
        problems.append(
            f"test folders without an image, from which the gallery would be drawn: {listed(empty)};"
            " remove them (a missing folder is allowed) or fill them"
        )
    return problems
