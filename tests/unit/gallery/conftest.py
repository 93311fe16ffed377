"""A folder of small pictures, and a model that needs no training: a fixed projection of the pixels."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.data.images.depth import DepthMapping
from vireid.gallery import ArchiveRows, GalleryArchive
from vireid.gallery.model import TrainedModel

ROOT = Path(__file__).parents[3]


@dataclass
class Projection:
    seed: int = 0
    size: tuple[int, int] = (8, 4)
    embedded: int = 0
    depth: DepthMapping | None = None
    decision: None = None

    @property
    def words(self) -> str:
        return f"projection {self.seed}"

    def fingerprint(self) -> str:
        return f"{self.seed:064d}"

    def embed(self, samples, images):
        self.embedded += len(images)
        matrix = np.random.default_rng(self.seed).standard_normal((images[0].size, 16))
        rows = (images.reshape(len(images), -1) / 255 - 0.5) @ matrix
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def model() -> Projection:
    return Projection()


@pytest.fixture
def other() -> Projection:
    return Projection(seed=1)


@pytest.fixture
def photos(tmp_path) -> Path:
    """30 images of 10 people in cameras 1 (visible), 2 (visible) and 3 (infrared), and a list of them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["path,identity,camera,modality,time"]
    for person in range(10):
        colours = rng.integers(40, 215, (8, 4, 3))
        for camera in (1, 2, 3):
            pixels = (colours + rng.integers(-20, 21, colours.shape)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{person}_{camera}.png")
            time = 100 * camera + person
            lines.append(f"{person}_{camera}.png,{person},{camera},{'ir' if camera == 3 else 'rgb'},{time}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def tool(monkeypatch, model):
    """`main` of tools/gallery.py in process, with this model whatever the config."""
    monkeypatch.setattr(TrainedModel, "of", classmethod(lambda cls, path, overrides=(): model))
    spec = importlib.util.spec_from_file_location("vireid_tool_gallery", ROOT / "tools" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *words: module.main(list(map(str, words)))


@pytest.fixture
def rows_of():
    """Make rows of an archive with random embeddings of width 8, alternately visible and infrared."""

    def make(paths, seed: int = 0, **columns) -> ArchiveRows:
        embeddings = np.random.default_rng(seed).standard_normal((len(paths), 8))
        modality = [row % 2 for row in range(len(paths))]
        return ArchiveRows(embeddings, {"path": paths, "modality": modality, **columns})

    return make


@pytest.fixture
def created():
    """Create an archive of embeddings of width 8."""
    return lambda folder: GalleryArchive.create(folder, fingerprint="f" * 64, width=8, model="toy")


PRELUDE = """
import sys
import numpy as np
from pathlib import Path
from vireid.gallery import ArchiveRows, GalleryArchive
folder = Path(sys.argv[1])
def rows(start, number):
    paths = [f"{start + i}.png" for i in range(number)]
    return ArchiveRows(np.full((number, 8), 1.0 + start), {"path": paths, "modality": [0] * number})
"""


@pytest.fixture
def process():
    """Start a process with `folder` and `rows(start, number)`; processes that still run at the end are killed."""
    started = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
        started.append(subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()
