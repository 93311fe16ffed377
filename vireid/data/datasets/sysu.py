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
from vireid.core.text import listed
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.attributes import AttributeTable, read_sysu_attributes
from vireid.data.datasets.folders import images_in, require_root, subfolders
from vireid.data.datasets.index_files import read_identities
from vireid.data.datasets.listed_dataset import ListedDataset
from vireid.data.findings import Findings
from vireid.data.images.image_files import LeftOut
from vireid.data.listing import DatasetListing

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
CAMERAS = tuple(sorted(VISIBLE_CAMERAS + INFRARED_CAMERAS))
ID_FILES = ("train_id.txt", "val_id.txt", "test_id.txt")
ORIGIN = "SYSU-MM01 itself is distributed by its authors after a signed agreement;"

Folders = dict[tuple[int, str], list[str]]  # (camera, name of the identity's folder) -> image names, sorted


@dataclass
class SysuFolders:
    """Identities of the splits and the images of their folders.

    Args:
        train: Zero-padded names of the training identities, sorted.
        test: Zero-padded names of the test identities, sorted.
        images: Image names of each (camera, identity) folder.
        left_out: Files and folders that are not used.
    """

    train: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    images: Folders = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)

    def has_images(self, name: str, cameras: Iterable[int]) -> bool:
        """Whether an identity has an image in one of the cameras."""
        return any(self.images.get((camera, name)) for camera in cameras)

    def samples(self, root: Path, labels: Iterable[tuple[int, str]], cameras: Sequence[int]) -> list[Sample]:
        """The images of (label, name of the identity's folder) pairs in some cameras, by identity, camera and name."""
        return [
            Sample(
                root / f"cam{camera}" / name / file,
                label,
                Modality.VISIBLE if camera in VISIBLE_CAMERAS else Modality.INFRARED,
                camera,
            )
            for label, name in labels
            for camera in cameras
            for file in self.images.get((camera, name), ())
        ]

    def test_samples(self, root: Path) -> list[Sample]:
        """The images of the test identities in all cameras."""
        return self.samples(root, [(int(name), name) for name in self.test], CAMERAS)


@DATASETS.register
class SysuMM01(ListedDataset):
    """SYSU-MM01: list the images of the train and val identities for training, and of the test identities.

    Training images are those of train and val identities together, in the order of the released pre-processing:
    identities by their zero-padded names, of each the visible cameras 1, 2, 4, 5, then the infrared ones 3, 6, files by
    name. The label is the rank of the identity. Test images are all images of the test identities in all six cameras,
    in the order (identity, camera, name). A missing (camera, identity) folder is skipped, as the protocol demands.

    Args:
        root: Folder that holds `cam1` .. `cam6` and `exp`, relative to the current directory; `~` is expanded.
        attributes: Folder or zip with the released `cam{n}_att.mat` files, a .csv or .xlsx table, or None.

    Raises:
        DataError: With all faults of the listing. Raised by `train`, `test` and `facts`.

    Departs:
        The released code finds the camera in the text of the path; here paths are split into folders. Files that are
        hidden or have another suffix than that of an image are left out and counted in `listing()` (the released code
        would sample a Thumbs.db). Identity lists are read to their end. Labels are always ranks (in the released code
        they follow the order of a Python set).
    """

    title = "SYSU-MM01"
    placeholder = DatasetInfo(num_ids=395, num_cameras=6)
    example: ClassVar[dict] = {"root": "datasets/SYSU-MM01"}

    def __init__(self, *, root: PathText, attributes: InputFile | None = None) -> None:
        super().__init__(root=root, attributes=attributes)

    def _scan(self) -> DatasetListing:
        findings = Findings()
        folders = list_folders(self.root, ID_FILES, findings)
        train = folders.samples(self.root, enumerate(folders.train), VISIBLE_CAMERAS + INFRARED_CAMERAS)
        return DatasetListing(train, folders.test_samples(self.root), tuple(findings), left_out=folders.left_out)

    def _read_table(self, place: Path) -> AttributeTable:
        return read_sysu_attributes(place)


def list_folders(root: Path, files: Sequence[str], findings: Findings) -> SysuFolders:
    """List the identities of some of the `ID_FILES` and the images of their folders.

    Raises:
        DataError: If the folder does not have the layout of SYSU-MM01 at all. All other faults are added to `findings`.
    """
    _check_layout(root)
    missing = [f"cam{camera}" for camera in CAMERAS if not (root / f"cam{camera}").is_dir()]
    if missing:
        findings.add(
            f"{listed(missing)} missing; unpack the whole archive"
            " (a camera that is meant to be without images needs an empty folder)"
        )
    parts = {name: read_identities(root / "exp" / name, f"exp/{name}", findings) for name in files}
    for left, right in itertools.combinations(files, 2):
        common = sorted(set(parts[left]) & set(parts[right]))
        if common:
            findings.add(f"identities in both exp/{left} and exp/{right}: {listed(common)}")
    *training, test = ID_FILES
    trained = {name for file in training for name in parts.get(file, ())}
    folders = SysuFolders(sorted(trained), sorted(set(parts.get(test, ()))))
    used = {
        name for file in ID_FILES for name in parts.get(file) or read_identities(root / "exp" / file, file, Findings())
    }
    names = _list_images(root, used, folders, findings)
    _check_identities(folders, names, findings)
    return folders


def _check_layout(root: Path) -> None:
    """Raise DataError if the folder does not have the layout at all, so that a list of faults would not help."""
    require_root(root, subfolders(root.parent), "cam1 .. cam6 and exp", layout="sysu", origin=ORIGIN)
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
    raise DataError(f"{root} does not have the layout of SYSU-MM01: no folder is named cam1 .. cam6{shown}{hint}")


def _list_images(root: Path, used: Collection[str], folders: SysuFolders, findings: Findings) -> dict[int, list[str]]:
    """Fill `folders.images` and return the names of all folders of each camera.

    Folders of identities that are not in `used`, and of other cameras, are left out as a whole.
    """
    names: dict[int, list[str]] = {camera: [] for camera in CAMERAS}
    unreadable: list[str] = []

    def list_names(names_in: Callable[[Path, LeftOut], list[str]], folder: Path, left_out: LeftOut) -> list[str]:
        try:
            return names_in(folder, left_out)
        except OSError as error:
            unreadable.append(f"{folder} ({error.strerror or error})")
            return []

    for camera in CAMERAS:
        folder = root / f"cam{camera}"
        names[camera] = list_names(subfolders, folder, folders.left_out)
        for name in names[camera]:
            inside = LeftOut()
            folders.images[camera, name] = list_names(images_in, folder / name, inside)
            if name in used:
                folders.left_out.update(inside)
            else:
                folders.left_out.add(folder / name, "folder of an identity that no list in exp names")
    for name in subfolders(root):
        if re.fullmatch(r"cam\d+", name, re.IGNORECASE) and name not in {f"cam{camera}" for camera in CAMERAS}:
            folders.left_out.add(root / name, "folder of a camera that SYSU-MM01 does not have")
    if unreadable:
        findings.add(f"folders that cannot be listed: {listed(unreadable)}; change their permissions")
    return names


def _check_identities(folders: SysuFolders, names: dict[int, list[str]], findings: Findings) -> None:
    """Add faults for identities without folders or without one of the modalities, and for empty test folders."""
    if not any(names.values()):
        findings.add("no camera folder holds any identity folder (cam1/0001, ...)")
        return
    missing = [
        name for name in (*folders.train, *folders.test) if not any((c, name) in folders.images for c in CAMERAS)
    ]
    if missing:
        padded = {f"{int(n):04d}": n for ns in names.values() for n in ns if n.isascii() and n.isdecimal()}
        short = next((padded[name] for name in missing if name in padded), None)
        hint = f"; there is a folder {short!r}, but names have four digits" if short is not None else ""
        findings.add(f"identities without any folder: {listed(missing)}{hint}")
    present = [name for name in folders.train if name not in set(missing)]
    for cameras, word in ((INFRARED_CAMERAS, "infrared"), (VISIBLE_CAMERAS, "visible")):
        without = [name for name in present if not folders.has_images(name, cameras)]
        if without:
            findings.add(
                f"training identities without {word} images (cameras {listed(cameras)}): {listed(without)};"
                " complete them or remove them from exp/train_id.txt and exp/val_id.txt"
            )
    empty = [
        f"cam{camera}/{name}"
        for name in folders.test
        for camera in VISIBLE_CAMERAS
        if folders.images.get((camera, name)) == []
    ]
    if empty:
        findings.add(
            f"test folders without an image, from which the gallery would be drawn: {listed(empty)};"
            " remove them (a missing folder is allowed) or fill them"
        )
