"""Golden adapters of the SYSU-MM01 query list and gallery draws: exact equality of file lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from runner import Case, adapter

from vireid.core.types import FeatureTable
from vireid.evaluation import SysuProtocol

SHOTS = {"single": 1, "multi10": 10}  # what the released code calls its two galleries


def listed(files: Sequence[str], identities: Sequence[int]) -> tuple[FeatureTable, np.ndarray]:
    """The table of the test images among paths such as cam1/0005/0029.jpg, and the path of each row, as the reader of
    SYSU-MM01 lists them: by identity, camera, name."""
    wanted = {f"{identity:04d}" for identity in identities}
    parts = sorted((identity, camera, name) for camera, identity, name in (file.split("/") for file in files))
    parts = [part for part in parts if part[0] in wanted]
    cameras = np.array([int(camera.removeprefix("cam")) for _, camera, _ in parts])
    return FeatureTable(
        features=np.zeros((len(parts), 1), np.float32),
        labels=np.array([int(identity) for identity, _, _ in parts]),
        cameras=cameras,
        modality=np.isin(cameras, (3, 6)).astype(np.int64),
    ), np.array([f"{camera}/{identity}/{name}" for identity, camera, name in parts])


def check_rows(rows: np.ndarray, table: FeatureTable, files: np.ndarray, expected: dict) -> None:
    assert files[rows].tolist() == list(expected["files"])
    if "pid" in expected:
        assert table.labels[rows].tolist() == list(expected["pid"])
        assert table.cameras[rows].tolist() == list(expected["cam"])


@adapter("agw", "sysu_tree")
def sysu_tree(case: Case) -> None:
    stored = case.arrays
    table, files = listed(stored["tree"], [int(text) for text in stored["test_id_txt"].splitlines()[0].split(",")])
    for mode, numbered in stored["gallery"].items():
        kinds = {kind for galleries in numbered.values() for kind in galleries}
        for kind in sorted(kinds):
            protocol = SysuProtocol(mode=mode, shots=SHOTS[kind], trials=1 + max(map(int, numbered)))
            check_rows(protocol.query_rows(table), table, files, stored["query"][mode])
            trials = {trial.name: trial for trial in protocol.trials(table)}
            for number, galleries in numbered.items():
                if kind in galleries:
                    check_rows(trials[f"trial {number}"].gallery, table, files, galleries[kind])


@adapter("mpa", "mclnet_sysu_gallery")
def mclnet_sysu_gallery(case: Case) -> None:
    stored = case.arrays
    table, files = listed(stored["files"].tolist(), stored["test_ids"].tolist())
    keys = [key for key in stored if key.startswith("gallery_")]
    assert keys
    for key in keys:
        _, mode, number = key.split("_")
        trials = list(SysuProtocol(mode=mode, trials=int(number) + 1).trials(table))
        assert files[trials[-1].gallery].tolist() == stored[key].tolist()
        assert files[trials[-1].query].tolist() == stored["query"].tolist()
