"""SYSU-MM01 with the training set as the arrays that the released pre-processing writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from vireid.core.errors import DataError
from vireid.core.paths import InputFile, PathText
from vireid.core.registries import DATASETS
from vireid.core.text import listed
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.attributes import AttributeTable, read_sysu_attributes
from vireid.data.datasets.folders import folder_of
from vireid.data.datasets.index_files import read_identities
from vireid.data.datasets.listed_dataset import ListedDataset
from vireid.data.datasets.sysu import (
    ID_FILES,
    INFRARED_CAMERAS,
    VISIBLE_CAMERAS,
    SysuFolders,
    list_folders,
)
from vireid.data.findings import Findings, findings_of
from vireid.data.listing import DatasetListing
from vireid.data.rows import open_array, open_numbers

UNKNOWN_CAMERA = 0
_WORDS = {Modality.VISIBLE: "rgb", Modality.INFRARED: "ir"}
_CAMERAS = {Modality.VISIBLE: VISIBLE_CAMERAS, Modality.INFRARED: INFRARED_CAMERAS}
_CAMERA_WORDS = ("camera", "cam", "camid")  # the released code writes no such array; these names are in use


@dataclass
class _Arrays:
    """The training set: of each modality the file of images, their labels, and their cameras if known."""

    files: dict[Modality, Path] = field(default_factory=dict)
    labels: dict[Modality, np.ndarray] = field(default_factory=dict)
    cameras: dict[Modality, np.ndarray] = field(default_factory=dict)

    def identities(self) -> list[int]:
        return sorted({int(label) for labels in self.labels.values() for label in np.unique(labels)})

    def samples(self) -> list[Sample]:
        """The rows of the arrays; the label is the rank of the label in the arrays."""
        rank = {label: rank for rank, label in enumerate(self.identities())}
        samples = []
        for modality, labels in self.labels.items():
            cameras = self.cameras.get(modality, np.full(len(labels), UNKNOWN_CAMERA))
            for row, (label, camera) in enumerate(zip(labels.tolist(), cameras.tolist())):
                samples.append(Sample(self.files[modality] / str(row), rank[label], modality, camera))
        return samples


@DATASETS.register
class SysuArrays(ListedDataset):
    """SYSU-MM01 with the training set as four arrays; the test set is image files.

    Training images are the visible rows, then the infrared ones, in the order of the arrays. The label is the rank of
    the label in the arrays (the same number in the released ones). Without camera arrays the camera of a training image
    is 0. Test images, attributes and the order of labels are those of SysuMM01, so that checkpoints of both are
    interchangeable. SIZE must be the size of the arrays.

    Args:
        arrays: Folder of `train_{rgb,ir}_resized_img.npy` (N, H, W, 3) uint8, `train_{rgb,ir}_resized_label.npy` (N,)
            and optionally `train_{rgb,ir}_resized_camera.npy` (N,). The released code joins folder and name without a
            separator, so that `ori_data` without a slash at its end gives `ori_datatrain_rgb_resized_img.npy` next to
            the folder: such files are accepted.
        root: Folder of the image files, as for SysuMM01; of its training part only the lists of identities are read,
            and those only with `attributes`.
        attributes: As for SysuMM01.

    Raises:
        DataError: With all faults of the arrays, the test images and the attributes. Raised by `train`, `test` and
            `facts`.
    """

    title = "SYSU-MM01"
    placeholder = DatasetInfo(num_ids=395, num_cameras=6)
    example: ClassVar[dict] = {"arrays": "datasets/SYSU-MM01", "root": "datasets/SYSU-MM01/ori_data"}

    def __init__(self, *, arrays: PathText, root: PathText, attributes: InputFile | None = None) -> None:
        super().__init__(root=root, attributes=attributes)
        self.arrays = folder_of(arrays)
        self._array_files: set[Path] = set()
        self._without_cameras = False
        self._names: list[str] = []  # names of the training identities by label; read if there are attributes

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """Values that a checkpoint must agree in: identities and labels are those of SysuMM01."""
        return {"data": "SysuMM01"}

    def _heading(self) -> str:
        return f"{self.arrays} and {self.root} cannot be used as {self.title}"

    def _scan(self) -> DatasetListing:
        findings = Findings()
        arrays = _open(self.arrays, findings)
        try:
            folders = list_folders(self.root, ID_FILES[2:], findings)
        except DataError as error:
            folders = SysuFolders()
            findings.extend(findings_of(error))
        self._array_files = set(arrays.files.values())
        self._without_cameras = len(arrays.cameras) < len(arrays.files)
        if self.attributes is not None:
            self._read_names(len(arrays.identities()), findings)
        test = folders.test_samples(self.root)
        return DatasetListing(arrays.samples(), test, tuple(findings), left_out=folders.left_out)

    def _read_names(self, identities: int, findings: Findings) -> None:
        """Read the identities that the labels of the arrays are ranks of; attribute tables are numbered by them."""
        sound = not findings
        files = [(self.root / "exp" / file, f"exp/{file}") for file in ID_FILES[:2]]
        self._names = sorted({name for file, place in files for name in read_identities(file, place, findings)})
        if sound and not findings and len(self._names) != identities:
            findings.add(
                f"the arrays hold {identities} identities, exp/train_id.txt and exp/val_id.txt list {len(self._names)}:"
                " attributes cannot be assigned; provide the lists that the arrays were made from"
            )

    def _identity_of(self, sample: Sample) -> int:
        if sample.path.parent not in self._array_files:
            return sample.identity
        if sample.identity >= len(self._names):
            raise ValueError(f"label {sample.identity} is not in the lists of identities")
        return int(self._names[sample.identity])

    def _read_table(self, place: Path) -> AttributeTable:
        return read_sysu_attributes(place)

    def _annotated(self, listing: DatasetListing, place: Path) -> DatasetListing:
        listing = super()._annotated(listing, place)
        if listing.table is None or not listing.table.by_camera or not self._without_cameras:
            return listing
        findings = Findings(listing.findings)
        findings.add(
            f"the rows are by camera, but there are no camera arrays ({_name(Modality.VISIBLE, _CAMERA_WORDS[0])});"
            " use a .csv table by identity, or SysuMM01",
            place=f"attributes {place}",
        )
        return replace(listing, findings=tuple(findings))


def _name(modality: Modality, word: str) -> str:
    return f"train_{_WORDS[modality]}_resized_{word}.npy"


def _open(folder: Path, findings: Findings) -> _Arrays:
    """Find and check the arrays; reads only the headers of the images and the small arrays."""
    arrays, sizes = _Arrays(), {}
    for modality in Modality:
        images = _read(open_array, _find(folder, _name(modality, "img"), findings), findings)
        labels = _read(open_numbers, _find(folder, _name(modality, "label"), findings), findings)
        if (
            labels is not None
            and _are_numbers(labels, _name(modality, "label"), images, findings)
            and images is not None
        ):
            file = _find(folder, _name(modality, "img"), Findings())
            assert file is not None
            arrays.files[modality], arrays.labels[modality] = file, np.asarray(labels)
            sizes[modality] = images.shape[1:3]
            _open_cameras(folder, modality, images, arrays, findings)
    if len(set(sizes.values())) > 1:
        shown = " and ".join(f"{_name(modality, 'img')}: {h} x {w}" for modality, (h, w) in sizes.items())
        findings.add(f"the arrays hold images of different sizes ({shown})")
    if len(arrays.labels) == len(Modality):
        for modality, other in zip(Modality, reversed(Modality)):
            missing = sorted(set(arrays.labels[other].tolist()) - set(arrays.labels[modality].tolist()))
            if missing:
                findings.add(f"labels without {modality.name.lower()} images in the arrays: {listed(missing)}")
    return arrays


def _open_cameras(folder: Path, modality: Modality, images: np.ndarray, arrays: _Arrays, findings: Findings) -> None:
    for word in _CAMERA_WORDS:
        file, name = _find(folder, _name(modality, word), findings, needed=False), _name(modality, word)
        cameras = _read(open_numbers, file, findings)
        if cameras is None or not _are_numbers(cameras, name, images, findings):
            continue
        others = sorted(set(cameras.tolist()) - set(_CAMERAS[modality]))
        if others:
            kind = modality.name.lower()
            findings.add(f"{name} has cameras that are not {kind} ({listed(_CAMERAS[modality])}): {listed(others)}")
            continue
        arrays.cameras[modality] = np.asarray(cameras)
        return


def _read(read: Callable[[Path], np.ndarray], file: Path | None, findings: Findings) -> np.ndarray | None:
    """The array; None and a fault if it cannot be read."""
    if file is None:
        return None
    try:
        return read(file)
    except DataError as error:
        findings.extend(findings_of(error))
        return None


def _are_numbers(values: np.ndarray, name: str, images: np.ndarray | None, findings: Findings) -> bool:
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        findings.add(f"{name} holds {values.dtype} {values.shape}, expected one integer for each image")
        return False
    if not len(values):
        findings.add(f"{name} is empty: there is no image")
        return False
    if images is not None and len(values) != len(images):
        findings.add(
            f"{name} holds {len(values)} numbers for {len(images)} images;"
            " both must be from one run of the pre-processing"
        )
        return False
    return True


def _find(folder: Path, name: str, findings: Findings, *, needed: bool = True) -> Path | None:
    """The file in the folder, or next to it with the folder's name as prefix, as the released code may write it."""
    prefixed = folder.with_name(folder.name + name)
    inside = sorted(folder.glob(f"*{name}")) if folder.is_dir() else []
    files = list(dict.fromkeys([file for file in (folder / name, prefixed) if file.is_file()] + inside))
    if len(files) > 1:
        findings.add(f"there are several {name}: {listed(files)}; DATA.ARRAYS must hold one")
    if not files and needed:
        findings.add(f"{name} is missing (looked for {folder / name} and {prefixed}); DATA.ARRAYS is the folder of it")
    return files[0] if len(files) == 1 else None
