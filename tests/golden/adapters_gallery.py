"""Golden adapters of the SYSU-MM01 query list and gallery draws: exact equality of file lists, from a tree on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from runner import Case, adapter

from vireid.core.types import FeatureTable
from vireid.data.datasets.sysu import SysuMM01
from vireid.evaluation import SysuProtocol

SHOTS = {"single": 1, "multi10": 10}  # what the released code calls its two galleries


def listed(files: Sequence[str], test_id_txt: str) -> tuple[FeatureTable, np.ndarray]:
    """Write paths such as cam1/0005/0029.jpg as empty files, read them as SYSU-MM01, and return the table of its test
    images and the path of each row. Two people to train on are added, because the reader insists on them."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        taken = {file.split("/")[1] for file in files}
        train, val = [name for name in (f"{number:04d}" for number in range(1, 10_000)) if name not in taken][:2]
        for file in [*files, *(f"cam{camera}/{name}/0001.jpg" for camera in (1, 3) for name in (train, val))]:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        for camera in range(1, 7):
            (root / f"cam{camera}").mkdir(exist_ok=True)
        (root / "exp").mkdir()
        for part, text in (("train", f"{int(train)}\n"), ("val", f"{int(val)}\n"), ("test", test_id_txt)):
            (root / "exp" / f"{part}_id.txt").write_text(text)
        samples = SysuMM01(root=str(root)).test()
        paths = [sample.path.relative_to(root.absolute()).as_posix() for sample in samples]
    table = FeatureTable(
        features=np.zeros((len(samples), 1), np.float32),
        labels=np.array([sample.identity for sample in samples]),
        cameras=np.array([sample.camera for sample in samples]),
        modality=np.array([int(sample.modality) for sample in samples]),
    )
    return table, np.array(paths)


def check_rows(rows: np.ndarray, table: FeatureTable, paths: np.ndarray, expected: dict) -> None:
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
