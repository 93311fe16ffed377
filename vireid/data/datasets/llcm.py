"""LLCM on disk: `idx/`, `test_vis/cam{1..9}/{id:04d}/`, `test_nir/cam{1,2,4..9}/{id:04d}/`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

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
    images_in,
    located,
    ranks,
    read_identities,
    read_index,
    subfolders,
)
from vireid.data.faults import listed
from vireid.data.images.image_files import LeftOut, add_unlisted

CAMERAS: Mapping[Modality, tuple[int, ...]] = {
    Modality.VISIBLE: (1, 2, 3, 4, 5, 6, 7, 8, 9),
    Modality.INFRARED: (1, 2, 4, 5, 6, 7, 8, 9),
}
TEST: Mapping[Modality, str] = {Modality.VISIBLE: "test_vis", Modality.INFRARED: "test_nir"}
TRAIN: Mapping[Modality, str] = {Modality.VISIBLE: "idx/train_vis.txt", Modality.INFRARED: "idx/train_nir.txt"}
TEST_IDS = "idx/test_id.txt"
FOLDERS = ("idx", *TEST.values())
NO_CAMERA = 0  # of a training image whose path names none
ORIGIN = "LLCM itself is given out by its authors after a signed agreement;"

Folders = dict[tuple[Modality, int, str], list[str]]  # (modality, camera, name of the identity's folder) -> image names


@DATASETS.register
class LLCM(FoundDataset):
    """Lists the images of LLCM, opens none of them.

    `root` is the folder that holds `idx`, `test_vis`, `test_nir` and the training folders that the index files name;
    relative to the current directory, `~` is understood. Paths are taken apart relative to it, so that it may be called
    anything (the released code takes the camera from the first "cam" of the whole path).

    Training = the visible images, then the infrared ones, in the order of `idx/train_vis.txt` and `idx/train_nir.txt`;
    the label is the rank of the file's label, the camera the first `c01` .. `c09` of the path, or 0 where it has none.
    Testing = the identities in `idx/test_id.txt`: all visible images, then all infrared ones, each by
    (identity, camera, name). Visible cameras 1 to 9, infrared ones without 3; images of one number in both modalities
    come from one device. A missing (camera, identity) folder is skipped, as the protocol says.

    `attributes`: a .csv or .xlsx table (docs/attributes.md) in which a person has the number of the image's folder.

    Every fault of the listing is reported in one DataError. Departs from the released code: files that are no images by
    their suffix, and hidden ones, are left out and counted in `survey()`.
    """

    called = "LLCM"
    placeholder = DatasetInfo(num_ids=713, num_cameras=9)
    example: ClassVar[dict] = {"root": "datasets/LLCM"}

    def __init__(self, *, root: PathText, attributes: InputFile | None = None) -> None:
        super().__init__(root=root, attributes=attributes)

    def _scan(self) -> Found:
        check_root(self.root, FOLDERS, called=self.called, layout="llcm", origin=ORIGIN)
        faults = Faults()
        check_folders(self.root, FOLDERS, faults)
        lists = {modality: read_index(self.root, name, faults) for modality, name in TRAIN.items()}
        files = Files(self.root)
        lists = {modality: located(entries, files) for modality, entries in lists.items()}
        check_entries(lists.values(), files, faults)
        check_both_modalities(*((TRAIN[m], entries) for m, entries in lists.items()), faults=faults)
        rank = ranks(entry for entries in lists.values() for entry in entries)
        train = [
            Sample(self.root / entry.path, rank[entry.label], modality, camera_in(entry.path))
            for modality, entries in lists.items()
            for entry in entries
        ]
        left_out = LeftOut()
        return Found(train, self._test(faults, left_out), faults, left_out=left_out)

    def _left_out(self, found: Found) -> LeftOut:
        inside = [s.path.relative_to(self.root).parts for s in found.train if s.path.is_relative_to(self.root)]
        folders = {parts[0] for parts in inside if ".." not in parts}  # others are faults of the index files
        left_out = LeftOut()
        left_out.update(found.left_out)
        places = [self.root / name for name in sorted(folders - {*FOLDERS})]
        add_unlisted(places, [s.path for s in found.train], "image that no index file names", left_out)
        return left_out

    def _test(self, faults: Faults, left_out: LeftOut) -> list[Sample]:
        problems: list[str] = []
        people = sorted(set(read_identities(self.root / TEST_IDS, TEST_IDS, problems)))
        for problem in problems:
            faults.add(problem)
        folders = _list_test(self.root, people, faults, left_out)
        return [
            Sample(self.root / TEST[modality] / f"cam{camera}" / name / file, int(name), modality, camera)
            for modality, cameras in CAMERAS.items()
            for name in people
            for camera in cameras
            for file in folders.get((modality, camera, name), ())
        ]


def camera_in(path: str) -> int:
    """The number of the first `c01` .. `c09` that stands between separators; 0 where there is none.

    >>> camera_in("nir/0012/0012_c04_s050347_f9050_nir.jpg"), camera_in("vis/0012/1.jpg")
    (4, 0)
    """
    found = re.search(r"(?<![^\W_])c0([1-9])(?![^\W_])", path)
    return int(found[1]) if found else NO_CAMERA


def _list_test(root: Path, people: Sequence[str], faults: Faults, left_out: LeftOut) -> Folders:
    """The images of the test identities in their folders."""
    folders: Folders = {}
    odd: dict[str, str] = {}  # name with four digits -> the folder's name
    for modality, cameras in CAMERAS.items():
        side = root / TEST[modality]
        missing = [f"cam{camera}" for camera in cameras if not (side / f"cam{camera}").is_dir()]
        if missing and side.is_dir():
            faults.add(
                f"{TEST[modality]}: {listed(missing)} missing; unpack the whole archive"
                " (a camera that is meant to be without images needs an empty folder)"
            )
        for camera in cameras:
            names = subfolders(side / f"cam{camera}", left_out)
            odd |= {
                f"{int(name):04d}": name for name in names if name.isascii() and name.isdecimal() and len(name) != 4
            }
            for name in names:
                if name in people:
                    folders[modality, camera, name] = images_in(side / f"cam{camera}" / name, left_out)
                else:
                    left_out.add(side / f"cam{camera}" / name, f"folder of an identity that {TEST_IDS} does not name")
        for name in subfolders(side, left_out):
            if name not in {f"cam{camera}" for camera in cameras}:
                left_out.add(side / name, f"folder of {TEST[modality]} that is not a camera of LLCM")
    seen = {modality: {n for m, _, n in folders if m == modality} for modality in Modality}
    absent = [name for name in people if not any(name in names for names in seen.values())]
    if absent:
        hint = next((odd[name] for name in absent if name in odd), None)
        text = f"; there is a folder {hint!r}, but names have four digits" if hint is not None else ""
        faults.add(f"test identities without any folder: {listed(absent)}{text}")
    for modality, names in seen.items():
        if people and not names and (root / TEST[modality]).is_dir():
            faults.add(f"{TEST[modality]} holds no image of any test identity")
    empty = [f"{TEST[m]}/cam{c}/{name}" for (m, c, name), files in sorted(folders.items()) if not files]
    if empty:
        faults.add(
            f"test folders without an image, from which the gallery would be drawn: {listed(empty)};"
            " remove them (a missing folder is allowed) or fill them"
        )
    return folders
