"""Golden adapters of query lists, gallery draws and index files: exact equality of file lists, from a tree on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from runner import Case, adapter
from scipy.io import savemat

from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.data.datasets.llcm import LLCM
from vireid.data.datasets.regdb import RegDB
from vireid.data.datasets.sysu import SysuMM01
from vireid.evaluation import LLCMProtocol, LLCMReleasedTransposed, RegDBProtocol, SysuProtocol

SHOTS = {"single": 1, "multi10": 10}  # what the released code calls its two galleries
LLCM_MODES = {"1": Modality.VISIBLE, "2": Modality.INFRARED}  # what the released code calls its two modalities
LLCM_DIRECTIONS = {Modality.VISIBLE: "visible_to_infrared", Modality.INFRARED: "infrared_to_visible"}  # by its queries


def touch(root: Path, files: Iterable[str]) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def write(file: Path, lines: Iterable[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def table_of(samples: Sequence[Sample], root: Path) -> tuple[EmbeddingTable, np.ndarray]:
    """The table of these images and the relative path of each row."""
    paths = [sample.path.relative_to(root.absolute()).as_posix() for sample in samples]
    table = EmbeddingTable(
        embeddings=np.zeros((len(samples), 1), np.float32),
        labels=np.array([sample.identity for sample in samples]),
        cameras=np.array([sample.camera for sample in samples]),
        modality=np.array([int(sample.modality) for sample in samples]),
        samples=samples,
    )
    return table, np.array(paths)


def listed(files: Sequence[str], test_id_txt: str) -> tuple[EmbeddingTable, np.ndarray]:
    """Write paths such as cam1/0005/0029.jpg as empty files, read them as SYSU-MM01, and return the table of its test
    images and the path of each row. Two people to train on are added, because the reader insists on them."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        taken = {file.split("/")[1] for file in files}
        train, val = [name for name in (f"{number:04d}" for number in range(1, 10_000)) if name not in taken][:2]
        touch(root, [*files, *(f"cam{camera}/{name}/0001.jpg" for camera in (1, 3) for name in (train, val))])
        for camera in range(1, 7):
            (root / f"cam{camera}").mkdir(exist_ok=True)
        for part, text in (("train", f"{int(train)}\n"), ("val", f"{int(val)}\n"), ("test", test_id_txt)):
            write(root / "exp" / f"{part}_id.txt", [text])
        return table_of(SysuMM01(root=str(root)).test(), root)


def check_rows(rows: np.ndarray, table: EmbeddingTable, paths: np.ndarray, expected: dict) -> None:
    assert paths[rows].tolist() == list(expected["files"])
    assert table.labels[rows].tolist() == list(expected["pid"])
    assert table.cameras[rows].tolist() == list(expected["cam"])


@adapter("agw", "sysu_tree")
def sysu_tree(case: Case) -> None:
    stored = case.arrays
    table, paths = listed(stored["tree"], stored["test_id_txt"])
    for mode, numbered in stored["gallery"].items():
        for kind in sorted({kind for galleries in numbered.values() for kind in galleries}):
            protocol = SysuProtocol(mode=mode, shots=SHOTS[kind], trials=1 + max(map(int, numbered)))
            check_rows(protocol.query_rows(table), table, paths, stored["query"][mode])
            trials = {trial.name: trial for trial in protocol.trials(table)}
            for number, galleries in numbered.items():
                if kind in galleries:
                    check_rows(trials[f"trial {number}"].gallery, table, paths, galleries[kind])


@adapter("mpa", "mclnet_sysu_gallery")
def mclnet_sysu_gallery(case: Case) -> None:
    stored = case.arrays
    table, paths = listed(stored["files"].tolist(), ",".join(map(str, stored["test_ids"])) + "\n")
    keys = [key for key in stored if key.startswith("gallery_")]
    assert keys
    for key in keys:
        _, mode, number = key.split("_")
        *_, trial = SysuProtocol(mode=mode, trials=int(number) + 1).trials(table)
        assert paths[trial.gallery].tolist() == stored[key].tolist()
        assert paths[trial.query].tolist() == stored["query"].tolist()


def cell(values: Sequence) -> np.ndarray:
    """A MATLAB cell array."""
    out = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        out[row, 0] = value
    return out


@adapter("agw", "sysu_official_perm")
def sysu_official_perm(case: Case) -> None:
    """Permutations by `cam{camera}_id{identity}`, (trials, images); names by `{mode}_{shots}_{trial}`."""
    permutations = {
        (camera, identity): np.array(rows)
        for key, rows in case.arrays["perm"].items()
        for camera, identity in [map(int, re.findall(r"\d+", key))]
    }
    cameras, people = (range(1, 1 + max(numbers)) for numbers in zip(*permutations))
    files = [
        f"cam{camera}/{identity:04d}/{number:04d}.jpg"
        for (camera, identity), rows in permutations.items()
        for number in np.unique(rows)
    ]
    table, paths = listed(files, ",".join(map(str, people)) + "\n")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rand_perm_cam.mat"
        none = np.zeros((0, 0))
        rows = [cell([permutations.get((camera, identity), none) for identity in people]) for camera in cameras]
        savemat(file, {"rand_perm_cam": cell(rows)})
        assert case.arrays["names"]
        for key, names in case.arrays["names"].items():
            mode, shots, number = key.split("_")
            protocol = SysuProtocol(
                mode=mode, shots=int(shots), trials=int(number) + 1, draw="official", permutations=str(file)
            )
            *_, trial = protocol.trials(table)
            assert [path.removesuffix(".jpg") for path in paths[trial.gallery]] == list(names)


@adapter("agw", "llcm_tree")
def llcm_tree(case: Case) -> None:
    """The released lists by mode: queries and ten draws; both our protocols of them. The root has "cam" in its name."""
    stored = case.arrays
    with TemporaryDirectory(prefix="cam3_") as folder:
        root = Path(folder)
        touch(root, stored["tree"])
        for word in ("vis", "nir"):
            for camera in range(1, 10):
                (root / f"test_{word}" / f"cam{camera}").mkdir(parents=True, exist_ok=True)
            touch(root, [f"{word}/0000/0000_c01.jpg"])
            write(root / "idx" / f"train_{word}.txt", [f"{word}/0000/0000_c01.jpg 0"])
        write(root / "idx" / "test_id.txt", [stored["test_id_txt"]])
        table, paths = table_of(LLCM(root=str(root)).test(), root)
    modes = {LLCM_MODES[mode]: mode for mode in stored["gallery"]}
    for query, direction in LLCM_DIRECTIONS.items():
        numbered = stored["gallery"][modes[Modality(1 - query)]]
        protocol = LLCMProtocol(direction=direction, trials=1 + max(map(int, numbered)))
        check_rows(protocol.query_rows(table), table, paths, stored["query"][modes[query]])
        trials = list(protocol.trials(table))
        for number, expected in numbered.items():
            check_rows(trials[int(number)].gallery, table, paths, expected)
    drawn = stored["gallery"][modes[Modality.INFRARED]]
    trials = list(LLCMReleasedTransposed(trials=1 + max(map(int, drawn))).trials(table))
    for number, expected in drawn.items():
        check_rows(trials[int(number)].query, table, paths, expected)
        check_rows(trials[int(number)].gallery, table, paths, stored["query"][modes[Modality.VISIBLE]])


@adapter("agw", "regdb_lists")
def regdb_lists(case: Case) -> None:
    """Index files by name and what the released reader makes of them: `<ROOT/>/` and the path, labels."""
    lines, expected = case.arrays["lines"], case.arrays["out"]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name, content in lines.items():
            write(root / "idx" / name, content)
            touch(root, [line.split()[0] for line in content])
        trials = sorted({int(name.rsplit("_", 1)[1].removesuffix(".txt")) for name in lines})
        for trial in trials:
            for word in ("visible", "thermal"):
                train = f"{word.title()}/train/{trial}.bmp"
                touch(root, [train])
                write(root / "idx" / f"train_{word}_{trial}.txt", [f"{train} 0"])
        for trial in trials:
            table, paths = table_of(RegDB(root=str(root), split=trial).test(), root)
            (ours,) = RegDBProtocol().trials(table)
            for word, rows in (("visible", ours.query), ("thermal", ours.gallery)):
                theirs = expected[f"{word}_{trial}"]
                assert [f"<ROOT/>/{path}" for path in paths[rows]] == list(theirs["files"])
                assert table.labels[rows].tolist() == list(theirs["label"])
    assert set(expected) == {f"{word}_{trial}" for word in ("visible", "thermal") for trial in trials}
