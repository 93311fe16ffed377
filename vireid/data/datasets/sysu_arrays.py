"""SYSU-MM01 with its training set as the arrays that the released pre-processing writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from vireid.core.errors import DataError
from vireid.core.paths import InputFile, PathText
from vireid.core.registries import DATASETS
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.attributes import NUM_ATTRIBUTES
from vireid.data.datasets.listing import folder_of, read_identities
from vireid.data.datasets.sysu import (
    CAMERAS,
    ID_FILES,
    INFRARED_CAMERAS,
    VISIBLE_CAMERAS,
    Listing,
    add_attributes,
    list_parts,
    samples_of,
)
from vireid.data.faults import faults_of, listed, raise_faults
from vireid.data.rows import open_array, open_numbers
from vireid.data.survey import Survey

UNKNOWN_CAMERA = 0
_WORDS = {Modality.VISIBLE: "rgb", Modality.INFRARED: "ir"}
_CAMERAS = {Modality.VISIBLE: VISIBLE_CAMERAS, Modality.INFRARED: INFRARED_CAMERAS}
_CAMERA_WORDS = ("camera", "cam", "camid")  # the released code writes no such array; these names are in use


@dataclass
class _Arrays:
    """The training set: of each modality the file of images, their labels, and their cameras where known."""

    files: dict[Modality, Path] = field(default_factory=dict)
    labels: dict[Modality, np.ndarray] = field(default_factory=dict)
    cameras: dict[Modality, np.ndarray] = field(default_factory=dict)

    def identities(self) -> list[int]:
        return sorted({int(label) for labels in self.labels.values() for label in np.unique(labels)})


@DATASETS.register
class SysuArrays:
    """SYSU-MM01 of which the training set is four arrays, read as they are; the test set is image files.

    `arrays` is the folder of `train_{rgb,ir}_resized_img.npy` (N, H, W, 3) uint8 and `train_{rgb,ir}_resized_label.npy`
    (N,), and where there are any `train_{rgb,ir}_resized_camera.npy` (N,). The released code glues folder and name
    together, so that `ori_data` without a slash at its end gives `ori_datatrain_rgb_resized_img.npy` beside the folder:
    that is found, too. SIZE must be the size of the arrays. `root` is as for SysuMM01; of its training part only the
    lists of identities are read, and those only where there are `attributes`.

    Training = the visible rows, then the infrared ones, in the order of the arrays. The label is the rank of the
    array's label (the same number in the released arrays). Without camera arrays the camera of a training image is 0.
    Testing, attributes and the order of labels are those of SysuMM01, so checkpoints of both fit each other.
    Every fault of the arrays, the test images and the attributes is reported in one DataError.
    """

    placeholder: DatasetInfo = DatasetInfo(num_ids=395, num_cameras=6)
    example: ClassVar[dict] = {"arrays": "datasets/SYSU-MM01", "root": "datasets/SYSU-MM01/ori_data"}

    def __init__(self, *, arrays: PathText, root: PathText, attributes: InputFile | None = None) -> None:
        self.arrays = folder_of(arrays)
        self.root = folder_of(root)
        self.attributes = None if attributes is None else folder_of(attributes)
        self.placeholder = DatasetInfo(
            num_ids=395, num_cameras=6, num_attributes=NUM_ATTRIBUTES if self.attributes is not None else 0
        )
        self._found_once: tuple[_Arrays, Listing, list[str]] | None = None

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """What a checkpoint must agree in to belong to this data set: the same people and labels as SysuMM01."""
        return {"data": "SysuMM01"}

    def train(self) -> list[Sample]:
        """Rows of the arrays, as `file.npy/row`; identities contiguous from 0."""
        arrays, listing = self._checked()
        return _training(arrays, listing)

    def test(self) -> list[Sample]:
        """Images of the test identities; identities as the data set numbers them."""
        _, listing = self._checked()
        return self._test(listing)

    def facts(self) -> DatasetInfo:
        """Numbers of identities in training, of cameras and of attributes."""
        arrays, listing = self._checked()
        width = listing.table.width if listing.table is not None else 0
        return DatasetInfo(num_ids=len(arrays.identities()), num_cameras=len(CAMERAS), num_attributes=width)

    def survey(self) -> Survey:
        """What could be listed, the attribute table, and every fault."""
        arrays, listing, faults = self._found()

        def person(sample: Sample) -> int:
            in_arrays = sample.path.parent in arrays.files.values()
            return int(listing.train[sample.identity]) if in_arrays else sample.identity

        train, test = _training(arrays, listing), self._test(listing)
        return Survey(train, test, faults, listing.table, person, listing.left_out)

    def _test(self, listing: Listing) -> list[Sample]:
        return samples_of(self.root, listing, [(int(name), name) for name in listing.test], CAMERAS)

    def _checked(self) -> tuple[_Arrays, Listing]:
        arrays, listing, faults = self._found()
        if faults:
            raise_faults(f"{self.arrays} and {self.root} cannot be used as SYSU-MM01", faults)
        return arrays, listing

    def _found(self) -> tuple[_Arrays, Listing, list[str]]:
        if self._found_once is None:
            faults: list[str] = []
            arrays = _open(self.arrays, faults)
            try:
                listing = list_parts(self.root, ID_FILES[2:])
            except DataError as error:
                listing = Listing(faults=[str(error)])
            faults += listing.faults
            if self.attributes is not None:
                self._attributes(self.attributes, arrays, listing, faults)
            self._found_once = arrays, listing, faults
        return self._found_once

    def _attributes(self, place: Path, arrays: _Arrays, listing: Listing, faults: list[str]) -> None:
        """Labels are ranks of the identities that exp/ lists; with these the table can be asked."""
        sound = not faults
        names = {n for file in ID_FILES[:2] for n in read_identities(self.root / "exp" / file, f"exp/{file}", faults)}
        listing.train = sorted(names)
        if sound and not faults and len(names) != len(arrays.identities()):
            faults.append(
                f"the arrays hold {len(arrays.identities())} identities, exp/train_id.txt and exp/val_id.txt list"
                f" {len(names)}: whose attributes are whose is not known; give the lists that the arrays were made from"
            )
        listing.faults = list(faults)
        add_attributes(listing, place)
        faults[:] = listing.faults
        if listing.table is not None and listing.table.by_camera and len(arrays.cameras) < len(arrays.files):
            faults.append(
                f"attributes {place}: they are given by camera, but there are no camera arrays"
                f" ({_name(Modality.VISIBLE, _CAMERA_WORDS[0])}); use a .csv table by identity, or SysuMM01"
            )


def _training(arrays: _Arrays, listing: Listing) -> list[Sample]:
    rank = {label: rank for rank, label in enumerate(arrays.identities())}
    table = listing.table if len(listing.train) == len(rank) else None
    samples = []
    for modality, labels in arrays.labels.items():
        cameras = arrays.cameras.get(modality, np.full(len(labels), UNKNOWN_CAMERA))
        for row, (label, camera) in enumerate(zip(labels.tolist(), cameras.tolist())):
            identity = rank[label]
            attributes = None if table is None else table.lookup(camera, int(listing.train[identity]))
            samples.append(Sample(arrays.files[modality] / str(row), identity, modality, camera, attributes))
    return samples


def _name(modality: Modality, word: str) -> str:
    return f"train_{_WORDS[modality]}_resized_{word}.npy"


def _open(folder: Path, faults: list[str]) -> _Arrays:
    """Find and check the arrays; only heads of files and the small arrays are read."""
    arrays, sizes = _Arrays(), {}
    for modality in Modality:
        images = _ask(open_array, _find(folder, _name(modality, "img"), faults), faults)
        labels = _ask(open_numbers, _find(folder, _name(modality, "label"), faults), faults)
        if labels is not None and _are_numbers(labels, _name(modality, "label"), images, faults) and images is not None:
            file = _find(folder, _name(modality, "img"), [])
            assert file is not None
            arrays.files[modality], arrays.labels[modality] = file, np.asarray(labels)
            sizes[modality] = images.shape[1:3]
            _open_cameras(folder, modality, images, arrays, faults)
    if len(set(sizes.values())) > 1:
        shown = " and ".join(f"{_name(modality, 'img')}: {h} x {w}" for modality, (h, w) in sizes.items())
        faults.append(f"the arrays hold images of different sizes ({shown})")
    if len(arrays.labels) == len(Modality):
        for modality, other in zip(Modality, reversed(Modality)):
            alone = sorted(set(arrays.labels[other].tolist()) - set(arrays.labels[modality].tolist()))
            if alone:
                faults.append(f"labels without {modality.name.lower()} images in the arrays: {listed(alone)}")
    return arrays


def _open_cameras(folder: Path, modality: Modality, images: np.ndarray, arrays: _Arrays, faults: list[str]) -> None:
    for word in _CAMERA_WORDS:
        file, name = _find(folder, _name(modality, word), faults, needed=False), _name(modality, word)
        cameras = _ask(open_numbers, file, faults)
        if cameras is None or not _are_numbers(cameras, name, images, faults):
            continue
        strange = sorted(set(cameras.tolist()) - set(_CAMERAS[modality]))
        if strange:
            kind = modality.name.lower()
            faults.append(f"{name} names cameras that are not {kind} ({listed(_CAMERAS[modality])}): {listed(strange)}")
            continue
        arrays.cameras[modality] = np.asarray(cameras)
        return


def _ask(read: Callable[[Path], np.ndarray], file: Path | None, faults: list[str]) -> np.ndarray | None:
    """The array, or nothing and a fault."""
    if file is None:
        return None
    try:
        return read(file)
    except DataError as error:
        faults += faults_of(error)
        return None


def _are_numbers(values: np.ndarray, name: str, images: np.ndarray | None, faults: list[str]) -> bool:
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        faults.append(f"{name} holds {values.dtype} {values.shape}, expected one whole number for each image")
        return False
    if not len(values):
        faults.append(f"{name} holds no number: there is no image")
        return False
    if images is not None and len(values) != len(images):
        faults.append(f"{name} holds {len(values)} numbers for {len(images)} images; they are not of one making")
        return False
    return True


def _find(folder: Path, name: str, faults: list[str], *, needed: bool = True) -> Path | None:
    """The file in the folder, or glued to the folder's name, as the released code does without a separator."""
    glued = folder.with_name(folder.name + name)
    inside = sorted(folder.glob(f"*{name}")) if folder.is_dir() else []
    found = list(dict.fromkeys([file for file in (folder / name, glued) if file.is_file()] + inside))
    if len(found) > 1:
        faults.append(f"there are several {name}: {listed(found)}; DATA.ARRAYS must hold one")
    if not found and needed:
        faults.append(f"{name} is missing (looked for {folder / name} and {glued}); DATA.ARRAYS is the folder of it")
    return found[0] if len(found) == 1 else None
