"""Tiny datasets in the layouts of RegDB and LLCM; the images are empty files, because listing opens none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest


def touch(root: Path, files: Iterable[str]) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def write_lines(file: Path, lines: Iterable[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture
def regdb_root(tmp_path: Path) -> Path:
    """Six identities with two images in each modality; splits 1 and 2, three to train and three to test."""
    root = tmp_path / "RegDB"
    splits = {1: ((4, 1, 6), (2, 3, 5)), 2: ((1, 2, 3), (4, 5, 6))}
    for split, parts in splits.items():
        for part, people in zip(("train", "test"), parts):
            for folder, word in (("Visible", "visible"), ("Thermal", "thermal")):
                rows = [(f"{folder}/{p}/{word[0]}_{n}.bmp", label) for label, p in enumerate(people) for n in (1, 2)]
                touch(root, [path for path, _ in rows])
                write_lines(root / "idx" / f"{part}_{word}_{split}.txt", [f"{path} {label}" for path, label in rows])
    return root


@pytest.fixture
def llcm_root(tmp_path: Path) -> Path:
    """Two identities to train, two to test; below a folder with "cam" in its name."""
    root = tmp_path / "webcam7" / "LLCM"
    for word, cameras in (("vis", range(1, 10)), ("nir", (1, 2, 4, 5, 6, 7, 8, 9))):
        rows = [(f"{word}/{p:04d}/{p:04d}_c0{c}_s1_f{c}_{word}.jpg", p - 11) for p in (11, 12) for c in (1, 4)]
        touch(root, [path for path, _ in rows])
        write_lines(root / "idx" / f"train_{word}.txt", [f"{path} {label}" for path, label in rows])
        for camera in cameras:
            (root / f"test_{word}" / f"cam{camera}").mkdir(parents=True)
        for person, seen in ((301, (9, 1, 2)), (7, (2,))):
            folders = [f"test_{word}/cam{camera}/{person:04d}" for camera in seen]
            touch(root, [f"{folder}/{person:04d}_{name}.jpg" for folder in folders for name in "ba"])
    write_lines(root / "idx" / "test_id.txt", ["301,7"])
    return root
