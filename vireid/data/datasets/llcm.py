"""LLCM on disk: `idx/`, `test_vis/cam{1..9}/{id:04d}/`, `test_nir/cam{1,2,4..9}/{id:04d}/`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from vireid.core.paths import InputFile, PathText
from vireid.core.registries import DATASETS
from vireid.core.text import listed
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.folders import Files, check_folders, check_root, images_in, subfolders
from vireid.data.datasets.index_files import (
    check_both_modalities,
    check_entries,
    located,
    ranks,
    read_identities,
    read_index,
)
from vireid.data.datasets.listed_dataset import ListedDataset
from vireid.data.findings import Findings
from vireid.data.images.image_files import LeftOut, add_unlisted
from vireid.data.listing import DatasetListing

CAMERAS: Mapping[Modality, tuple[int, ...]] = {
    Modality.VISIBLE: (1, 2, 3, 4, 5, 6, 7, 8, 9),
    Modality.INFRARED: (1, 2, 4, 5, 6, 7, 8, 9),
}
TEST: Mapping[Modality, str] = {Modality.VISIBLE: "test_vis", Modality.INFRARED: "test_nir"}
TRAIN: Mapping[Modality, str] = {Modality.VISIBLE: "idx/train_vis.txt", Modality.INFRARED: "idx/train_nir.txt"}
TEST_IDS = "idx/test_id.txt"
FOLDERS = ("idx", *TEST.values())
NO_CAMERA = 0  # of a training image whose path names none
ORIGIN = "LLCM itself is distributed by its authors after a signed agreement;"

Folders = dict[tuple[Modality, int, str], list[str]]  # (modality, camera, name of the identity's folder) -> image names


@DATASETS.register
class LLCM(ListedDataset):
    """LLCM: list the training images of the index files and the test images of the camera folders.

    Training images are the visible images, then the infrared ones, in the order of `idx/train_vis.txt` and
    `idx/train_nir.txt`. The label is the rank of the label in the file; the camera is the first `c01` .. `c09` of the
    path, or 0 if there is none. Test images are those of the identities in `idx/test_id.txt`: all visible images, then
    all infrared ones, each by (identity, camera, name). Visible cameras are 1 to 9, infrared ones the same without 3;
    images of one camera number in both modalities come from one device. A missing (camera, identity) folder is skipped,
    as the protocol demands.

    Args:
        root: Folder that holds `idx`, `test_vis`, `test_nir` and the training folders that the index files name,
            relative to the current directory; `~` is expanded.
        attributes: .csv or .xlsx table (docs/attributes.md) by the numbers of the image folders, or None.

    Raises:
        DataError: With all faults of the listing. Raised by `train`, `test` and `facts`.

    Departs:
        The released code takes the camera from the first "cam" of the whole path; here paths are relative to `root`, so
        its name has no influence. Files that are hidden or have another suffix than that of an image are left out and
        counted in `listing()`.
    """

    title = "LLCM"
    placeholder = DatasetInfo(num_ids=713, num_cameras=9)
    example: ClassVar[dict] = {"root": "datasets/LLCM"}

    def __init__(self, *, root: PathText, attributes: InputFile | None = None) -> None:
        super().__init__(root=root, attributes=attributes)

    def _scan(self) -> DatasetListing:
        check_root(self.root, FOLDERS, title=self.title, layout="llcm", origin=ORIGIN)
        findings, left_out = Findings(), LeftOut()
        check_folders(self.root, FOLDERS, findings)
        lists = {modality: read_index(self.root, name, findings) for modality, name in TRAIN.items()}
        files = Files(self.root)
        lists = {modality: located(entries, files) for modality, entries in lists.items()}
        check_entries(lists.values(), files, findings)
        check_both_modalities(*((TRAIN[m], entries) for m, entries in lists.items()), findings=findings)
        rank = ranks(entry for entries in lists.values() for entry in entries)
        train = [
            Sample(self.root / entry.path, rank[entry.label], modality, camera_in(entry.path))
            for modality, entries in lists.items()
            for entry in entries
        ]
        test = self._test_images(findings, left_out)
        return DatasetListing(train, test, tuple(findings), left_out=left_out)

    def _left_out(self, listing: DatasetListing) -> LeftOut:
        inside = [s.path.relative_to(self.root).parts for s in listing.train if s.path.is_relative_to(self.root)]
        folders = {parts[0] for parts in inside if ".." not in parts}  # others are faults of the index files
        left_out = LeftOut()
        left_out.update(listing.left_out)
        searched = [self.root / name for name in sorted(folders - {*FOLDERS})]
        add_unlisted(searched, [s.path for s in listing.train], "image that no index file names", left_out)
        return left_out

    def _test_images(self, findings: Findings, left_out: LeftOut) -> list[Sample]:
        identities = sorted(set(read_identities(self.root / TEST_IDS, TEST_IDS, findings)))
        folders = _list_test(self.root, identities, findings, left_out)
        return [
            Sample(self.root / TEST[modality] / f"cam{camera}" / name / file, int(name), modality, camera)
            for modality, cameras in CAMERAS.items()
            for name in identities
            for camera in cameras
            for file in folders.get((modality, camera, name), ())
        ]


def camera_in(path: str) -> int:
    """Return the number of the first `c01` .. `c09` between separators; 0 if there is none.

    Example:
        >>> camera_in("nir/0012/0012_c04_s050347_f9050_nir.jpg"), camera_in("vis/0012/1.jpg")
        (4, 0)
    """
    match = re.search(r"(?<![^\W_])c0([1-9])(?![^\W_])", path)
    return int(match[1]) if match else NO_CAMERA


def _list_test(root: Path, identities: Sequence[str], findings: Findings, left_out: LeftOut) -> Folders:
    """The images of the test identities by folder."""
    folders: Folders = {}
    unpadded: dict[str, str] = {}  # name with four digits -> the folder's name
    for modality, cameras in CAMERAS.items():
        side = root / TEST[modality]
        missing = [f"cam{camera}" for camera in cameras if not (side / f"cam{camera}").is_dir()]
        if missing and side.is_dir():
            findings.add(
                f"{listed(missing)} missing; unpack the whole archive"
                " (a camera that is meant to be without images needs an empty folder)",
                place=TEST[modality],
                path=side,
            )
        for camera in cameras:
            names = subfolders(side / f"cam{camera}", left_out)
            unpadded |= {
                f"{int(name):04d}": name for name in names if name.isascii() and name.isdecimal() and len(name) != 4
            }
            for name in names:
                if name in identities:
                    folders[modality, camera, name] = images_in(side / f"cam{camera}" / name, left_out)
                else:
                    left_out.add(side / f"cam{camera}" / name, f"folder of an identity that {TEST_IDS} does not name")
        for name in subfolders(side, left_out):
            if name not in {f"cam{camera}" for camera in cameras}:
                left_out.add(side / name, f"folder of {TEST[modality]} that is not a camera of LLCM")
    _check_test(root, identities, folders, unpadded, findings)
    return folders


def _check_test(
    root: Path, identities: Sequence[str], folders: Folders, unpadded: Mapping[str, str], findings: Findings
) -> None:
    """Add faults for test identities without folders, modalities without images, and empty folders."""
    with_folder = {modality: {name for m, _, name in folders if m == modality} for modality in Modality}
    missing = [name for name in identities if not any(name in names for names in with_folder.values())]
    if missing:
        short = next((unpadded[name] for name in missing if name in unpadded), None)
        hint = f"; there is a folder {short!r}, but names have four digits" if short is not None else ""
        findings.add(f"test identities without any folder: {listed(missing)}{hint}")
    for modality, names in with_folder.items():
        if identities and not names and (root / TEST[modality]).is_dir():
            findings.add(f"{TEST[modality]} holds no image of any test identity", path=root / TEST[modality])
    empty = [f"{TEST[m]}/cam{c}/{name}" for (m, c, name), files in sorted(folders.items()) if not files]
    if empty:
        findings.add(
            f"test folders without an image, from which the gallery would be drawn: {listed(empty)};"
            " remove them (a missing folder is allowed) or fill them"
        )
