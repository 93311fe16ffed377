"""DATA.DEPTH in the gallery: deep gray images are refused without it, mapped with it, and it is part of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from vireid.core.errors import DataError
from vireid.data.images.decode import read_pixels
from vireid.data.images.depth import DepthMapping
from vireid.gallery import application
from vireid.gallery.listing import Known, images_of
from vireid.gallery.model import TrainedModel
from vireid.gallery.store import GalleryStore

FLAT = {"NAME": "TorchExact"}
DEPTH = DepthMapping(range=(0, 4000))


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / "deep"
    folder.mkdir()
    for n in range(3):
        pixels = np.random.default_rng(n).integers(0, 4000, (8, 4)).astype(np.uint16)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return folder


def test_deep_gray_is_refused_without_the_option(tmp_path: Path, model, deep: Path) -> None:
    with pytest.raises(DataError, match=r"16-bit gray.*DATA.DEPTH"):
        application.build(tmp_path / "gallery", model, images_of(deep, Known("infrared")), FLAT, skip=False)


def test_deep_gray_is_embedded_and_searched_with_it(tmp_path: Path, model, deep: Path) -> None:
    model.depth = DEPTH
    samples = images_of(deep, Known("infrared"))
    done = application.build(tmp_path / "gallery", model, samples, FLAT, skip=False)
    assert (done.added, done.bad) == (3, {})
    pixels = np.stack([read_pixels(str(s.path), model.size, DEPTH)[0] for s in samples])
    assert len(np.unique(pixels)) > 30
    store = GalleryStore(tmp_path / "gallery")
    assert sorted(store.columns()["path"].tolist()) == [str(s.path) for s in samples]
    answers = application.search(tmp_path / "gallery", model, samples, k=1)
    best = [answer["answers"][0] for answer in answers["queries"]]
    assert [answer["path"] for answer in best] == [str(s.path) for s in samples]


def test_the_mapping_is_part_of_the_fingerprint() -> None:
    def fingerprint(depth: DepthMapping | None) -> str:
        net = nn.Linear(2, 2, bias=False)
        nn.init.ones_(net.weight)
        net.embedding = ["features"]
        return TrainedModel(net, None, (8, 4), 1, "", depth).fingerprint()

    prints = [fingerprint(d) for d in (None, DEPTH, DepthMapping(range=(0, 4001)), DepthMapping(percentiles=(0, 100)))]
    assert len(set(prints)) == 4
    assert fingerprint(DEPTH) == prints[1]
