"""Embeddings of a trained run: the same as those of its evaluation, for every kind of input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vireid
from vireid.core.errors import ArgumentError, CheckpointError, DataError, UserError
from vireid.core.types import Modality
from vireid.data.images.decode import read_pixels
from vireid.runs.results import read_embeddings


@pytest.fixture(scope="module")
def embedder(run) -> vireid.Embedder:
    return vireid.load(run)


def paths_of(run: Path, modality: Modality) -> tuple[list[str], np.ndarray]:
    """Paths of the test images of one modality, and their stored embeddings (float16 on disk)."""
    stored = read_embeddings(run)
    rows = stored.modality == modality
    return stored.paths[rows].tolist(), stored.features[rows]


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_embeddings_are_those_of_the_run(run, modality, batch):
    paths, stored = paths_of(run, modality)
    embedded = vireid.load(run, batch=batch)(paths, modality=modality.name.lower())
    assert (embedded.dtype, embedded.shape) == (np.float32, stored.shape)
    np.testing.assert_allclose(embedded, stored, rtol=0, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=0, atol=1e-6)


def test_the_other_modality_gives_other_embeddings(embedder, run):
    paths, _ = paths_of(run, Modality.INFRARED)
    assert np.abs(embedder(paths, modality="infrared") - embedder(paths, modality="visible")).max() > 0.01


def test_mirror_images_are_added_as_in_the_run(make_run):
    run = make_run(FLIP_TEST="unit")
    paths, stored = paths_of(run, Modality.VISIBLE)
    np.testing.assert_allclose(vireid.load(run)(paths, modality="visible"), stored, rtol=0, atol=1e-3)


def test_neither_dataset_nor_cache_is_needed(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "moved")
    for name in ("listing.csv.gz", "features.npz", "metrics.json"):
        (tmp_path / "moved" / name).unlink()
    config = tmp_path / "moved" / "config.yml"
    root = str(Path(read_embeddings(run).paths[0]).parent)
    assert root in config.read_text()
    config.write_text(config.read_text().replace(root, str(tmp_path / "gone")))
    monkeypatch.chdir(tmp_path)
    paths, stored = paths_of(run, Modality.INFRARED)
    np.testing.assert_allclose(vireid.load("moved")(paths, modality="infrared"), stored, rtol=0, atol=1e-3)
    assert not (tmp_path / "gone").exists()


def variants(path: str) -> dict[str, object]:
    """One image in every form: the pixels are those of the upright file."""
    pixels, fault = read_pixels(path)
    assert pixels is not None, fault
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    return {
        "path": Path(path),
        "pillow": Image.open(path),
        "array": pixels,
        "arrays": pixels[None],
        "strided": np.repeat(pixels, 2, axis=1)[:, ::2],
        "tensor": tensor,
        "tensors": tensor[None],
        "float": tensor / 255,
        "double": tensor.double() / 255,
        "list": [path],
        "mixed": [pixels[None]],
        "generator": (each for each in [path]),
        "set": {path},
    }


@pytest.mark.parametrize(
    "form",
    [
        "path",
        "pillow",
        "array",
        "arrays",
        "strided",
        "tensor",
        "tensors",
        "float",
        "double",
        "list",
        "mixed",
        "generator",
        "set",
    ],
)
def test_every_form_of_an_image_has_the_same_embedding(embedder, run, form):
    path = paths_of(run, Modality.VISIBLE)[0][0]
    np.testing.assert_array_equal(
        embedder(variants(path)[form], modality="visible"), embedder(path, modality="visible")
    )


def test_an_iterable_is_read_as_it_is_used(embedder, run):
    paths, _ = paths_of(run, Modality.VISIBLE)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield paths[0] if len(taken) < 150 else "missing.png"

    with pytest.raises(DataError, match=r"missing\.png"):
        embedder(endless(), modality="visible")
    assert len(taken) <= 256


def test_no_image_has_no_row(embedder):
    assert embedder([], modality="visible").shape == (0, embedder.width)
    assert embedder.crops(np.zeros((8, 8, 3), np.uint8), [], modality="visible").shape == (0, embedder.width)


def test_torch_rows(embedder, run):
    paths, _ = paths_of(run, Modality.VISIBLE)
    rows = embedder(paths, modality="visible", output="torch")
    assert (type(rows), rows.dtype) == (torch.Tensor, torch.float32)
    np.testing.assert_array_equal(rows.numpy(), embedder(paths, modality="visible"))


def test_auto_takes_gray_images_for_infrared(run, embedder):
    visible, infrared = (paths_of(run, modality)[0] for modality in Modality)
    mixed = [path for pair in zip(infrared, visible) for path in pair]
    found = embedder(mixed, modality="auto")
    np.testing.assert_allclose(found[0::2], embedder(infrared, modality="infrared"), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[1::2], embedder(visible, modality="visible"), rtol=0, atol=1e-5)


def test_rank_and_similarity(embedder):
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(1030, 8)).astype(np.float32), rng.normal(size=(7, 8)).astype(np.float32)
    scores = embedder.similarity(queries, torch.from_numpy(gallery))
    expected = [[q @ g / np.linalg.norm(q) / np.linalg.norm(g) for g in gallery] for q in queries]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    ranking = embedder.rank(queries, gallery, k=3)
    assert ranking.ids.shape == (1030, 3)
    np.testing.assert_array_equal(ranking.ids, np.argsort(-scores, axis=1)[:, :3])
    assert embedder.rank(queries, gallery).ids.shape == (1030, 7)
    assert embedder.rank(queries[:0], gallery).ids.shape == (0, 7)
    with pytest.raises(UserError, match="width is 8, but 9 is needed"):
        embedder.similarity(np.ones((2, 9)), gallery)
    with pytest.raises(UserError, match="the same D and G at least 1"):
        embedder.rank(queries, gallery[:0])
    with pytest.raises(ArgumentError, match="k must be at least 1, got 0"):
        embedder.rank(queries, gallery, k=0)


def test_crops_are_parts_of_the_upright_frame(embedder, run):
    path = next(path for path in paths_of(run, Modality.VISIBLE)[0] if "/6_" in path)  # EXIF: rotated
    pixels, _ = read_pixels(path)
    assert pixels is not None
    assert pixels.shape[0] < pixels.shape[1]
    boxes = np.array([[2, 3, 12.4, 19], [-5, 10, 9, 500]])
    found = embedder.crops(path, boxes, modality="visible")
    expected = embedder([pixels[3:19, 2:12], pixels[10:, :9]], modality="visible")
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ArgumentError, match=r"boxes\[1\] has no pixel inside of the frame of width"):
        embedder.crops(path, [[0, 0, 5, 5], [900, 0, 950, 5]], modality="visible")
    with pytest.raises(ArgumentError, match=r"boxes\[0\] must be finite"):
        embedder.crops(path, [[0, 0, np.nan, 5]], modality="visible")
    with pytest.raises(ArgumentError, match=r"boxes must be \(N, 4\)"):
        embedder.crops(path, [0, 0, 5, 5], modality="visible")
    with pytest.raises(ArgumentError, match="frame must be one image"):
        embedder.crops([path, path], boxes, modality="visible")


GRAY = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (GRAY, r"images\[0\] must be an array \(H, W, 3\), got the shape \(8, 8\); repeat a gray image"),
        (np.zeros((8, 8, 3)), r"images\[0\] must be a uint8 array .* got float64"),
        (torch.zeros(8, 8, 3), r"must be a tensor \(3, H, W\), got the shape \(8, 8, 3\); permute the channels"),
        (torch.full((3, 8, 8), 2.0), r"must have values in \[0, 1\], got 2 to 2; pass images that are not normalized"),
        (torch.full((3, 8, 8), float("nan")), r"must have values in \[0, 1\]"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "must be a tensor of uint8 or of floats"),
        ([np.zeros((8, 8, 3), np.uint8), 5], r"images\[1\] must be an image, got a value of type int; pass paths"),
        (None, "images must be images, got a value of type NoneType"),
        (b"x", "images must be images, got a value of type bytes"),
    ],
)
def test_values_that_are_not_images_are_refused(embedder, images, text):
    with pytest.raises(ArgumentError, match=text):
        embedder(images, modality="visible")


def test_unusable_images_are_all_named(embedder, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGBA", (8, 8)).save(tmp_path / "alpha.png")
    with pytest.raises(DataError) as caught:
        embedder([tmp_path / "text.png", tmp_path / "alpha.png", tmp_path / "none.png"], modality="visible")
    assert [Path(finding.place).name for finding in caught.value.findings] == ["text.png", "alpha.png", "none.png"]
    assert caught.value.findings[0].text == "not an image"
    with pytest.raises(DataError, match=r"images\[0\]: .*transparency"):
        embedder(Image.new("RGBA", (8, 8)), modality="visible")


@pytest.mark.parametrize(("modality", "hint"), [("infrarde", "did you mean 'infrared'"), ("rgb", "one of visible")])
def test_an_unknown_modality_is_refused(embedder, modality, hint):
    with pytest.raises(ArgumentError, match=hint):
        embedder([], modality=modality)
    with pytest.raises(ArgumentError, match="output must be 'numpy' or 'torch', got 'list'"):
        embedder([], modality="visible", output="list")


def test_a_folder_that_is_no_model_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="does not exist; name a run folder or a bundle folder"):
        vireid.load(tmp_path / "none")
    with pytest.raises(UserError, match="is neither a run folder"):
        vireid.load(tmp_path)
    with pytest.raises(UserError, match=rf"it is a checkpoint of the run {run}"):
        vireid.load(run / "checkpoints" / "epoch_0001")
    shutil.copytree(run, tmp_path / "empty", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        vireid.load(tmp_path / "empty")
    with pytest.raises(ArgumentError, match="batch must be at least 1, got 0"):
        vireid.load(run, batch=0)


def test_a_fine_tuned_run_gives_its_own_weights(run, make_run):
    tuned = make_run(WEIGHTS=run / "checkpoints" / "epoch_0001", SEED=3)
    paths, stored = paths_of(tuned, Modality.VISIBLE)
    np.testing.assert_allclose(vireid.load(tuned)(paths, modality="visible"), stored, rtol=0, atol=1e-3)
    assert vireid.load(tuned).fingerprint != vireid.load(run).fingerprint
