"""Every augmentation against a loop over images that applies the same draw with plain slices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.core.types import Batch
from vireid.data.augment.pixels import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    erase_,
    erase_with_noise_,
    gather_pixels,
    normalize,
)
from vireid.data.augment.transforms import Augment, Augmentation, HorizontalFlip, PadCrop, RandomErasing

SIZE = (24, 12)


def make_batch(count: int = 16, seed: int = 0) -> Batch:
    images = torch.randint(0, 256, (count, *SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    zeros = torch.zeros(count, dtype=torch.int64)
    return Batch(images.permute(0, 3, 1, 2), torch.arange(count), zeros, zeros, zeros, torch.arange(count))


def run(steps: Mapping[str, Augmentation], batch: Batch, seed: int = 0, **key: int) -> Tensor:
    return Augment(steps, seed=seed)(batch, **{"epoch": 0, "step": 0, "rank": 0, **key}).images


def by_hand(image: Tensor) -> Tensor:
    """(3, H, W) uint8 as torchvision's ToTensor and Normalize make it."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image.float() / 255 - mean) / std


def candidates(image: Tensor, padding: int, flips: tuple[bool, ...]) -> dict[tuple[int, int, bool], Tensor]:
    """All results of pad, crop and flip of one image, by (top, left, flipped)."""
    height, width = image.shape[1:]
    padded = F.pad(image, (padding,) * 4)
    crops = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + height, left : left + width]
            for flip in flips:
                crops[top, left, flip] = crop.flip(-1) if flip else crop
    return crops


def test_without_steps_the_batch_is_normalised() -> None:
    batch = make_batch()
    before = batch.images.clone()
    out = Augment({}, seed=0)(batch, epoch=0, step=0, rank=0)
    torch.testing.assert_close(out.images, torch.stack([by_hand(x) for x in batch.images]), atol=1e-6, rtol=0)
    assert out.images.dtype == torch.float32
    assert out.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.images, before)
    assert out.labels is batch.labels


def test_normalise_takes_any_memory_order() -> None:
    images = make_batch().images
    torch.testing.assert_close(normalize(images.contiguous()), normalize(images), atol=0, rtol=0)


def test_each_image_gets_a_crop_of_its_own() -> None:
    batch = make_batch(64)
    out = run({"crop": PadCrop(padding=3)}, batch)
    found = []
    for image, result in zip(batch.images, out, strict=True):
        matches = [
            key
            for key, crop in candidates(image, 3, (False,)).items()
            if torch.allclose(by_hand(crop), result, atol=1e-5)
        ]
        assert len(matches) == 1
        found.append(matches[0][:2])
    assert len(set(found)) > 25
    assert {top for top, _ in found} == {left for _, left in found} == set(range(7))


def test_the_border_is_black_before_normalisation() -> None:
    batch = make_batch(64)
    white = batch.with_images(torch.full_like(batch.images, 255))
    values = run({"crop": PadCrop(padding=4)}, white)
    black, bright = (by_hand(torch.full((3, 1, 1), level, dtype=torch.uint8)) for level in (0, 255))
    is_black = (values - black).abs() < 1e-5
    assert (is_black | ((values - bright).abs() < 1e-5)).all()
    assert is_black.any()


def test_the_border_may_be_another_grey_and_steps_must_agree_on_it() -> None:
    batch = make_batch(64)
    white = batch.with_images(torch.full_like(batch.images, 255))
    values = run({"crop": PadCrop(padding=4, fill=127)}, white)
    grey, bright = (by_hand(torch.full((3, 1, 1), level, dtype=torch.uint8)) for level in (127, 255))
    is_grey = (values - grey).abs() < 1e-5
    assert (is_grey | ((values - bright).abs() < 1e-5)).all()
    assert is_grey.any()
    with pytest.raises(ValueError, match=r"have one gray value outside of images, got \[0, 127\]"):
        run({"crop": PadCrop(fill=127), "again": PadCrop()}, white)


def test_a_mirrored_border_repeats_the_edge_as_numpy_does() -> None:
    batch = make_batch(64)
    out = run({"crop": PadCrop(padding=3, mirror=True)}, batch)
    found = set()
    for image, result in zip(batch.images, out, strict=True):
        padded = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (3, 3), (3, 3)), mode="symmetric"))
        crops = {(t, left): padded[:, t : t + SIZE[0], left : left + SIZE[1]] for t in range(7) for left in range(7)}
        matches = [key for key, crop in crops.items() if torch.allclose(by_hand(crop), result, atol=1e-5)]
        assert len(matches) == 1
        found.update(matches)
    assert {top for top, _ in found} == {left for _, left in found} == set(range(7))


def test_a_mirrored_border_may_be_wider_than_the_image() -> None:
    batch = make_batch(20)
    rows, columns = (torch.arange(length).expand(20, length) for length in SIZE)
    generator = torch.Generator().manual_seed(0)
    moved = PadCrop(padding=60, mirror=True).locate(rows, columns, size=SIZE, generator=generator)
    for positions, length in zip(moved, SIZE, strict=True):
        steps = positions.diff(dim=1)
        assert positions.min() >= 0
        assert positions.max() < length
        assert set(steps.unique().tolist()) == {-1, 0, 1}
    mixed = {"crop": PadCrop(mirror=True), "again": PadCrop(fill=127)}  # only one of them has pixels outside
    assert run(mixed, batch).isfinite().all()


def test_each_image_is_flipped_or_not_by_itself() -> None:
    batch = make_batch(200)
    out = run({"flip": HorizontalFlip(probability=0.3)}, batch)
    plain = normalize(batch.images)
    flipped = torch.stack([torch.tensor(torch.equal(r, i.flip(-1))) for r, i in zip(out, plain, strict=True)])
    kept = torch.stack([torch.tensor(torch.equal(r, i)) for r, i in zip(out, plain, strict=True)])
    assert (flipped ^ kept).all()
    assert 0.2 < flipped.float().mean() < 0.4


def test_crop_and_flip_together_equal_the_loop() -> None:
    batch = make_batch(24)
    out = run({"crop": PadCrop(padding=2), "flip": HorizontalFlip()}, batch)
    found = set()
    for image, result in zip(batch.images, out, strict=True):
        matches = [
            key
            for key, crop in candidates(image, 2, (False, True)).items()
            if torch.allclose(by_hand(crop), result, atol=1e-5)
        ]
        assert len(matches) == 1
        found.update(matches)
    assert {flip for *_, flip in found} == {False, True}


def test_gather_pixels_may_change_the_size() -> None:
    images = make_batch(2).images
    rows = torch.tensor([[0, 5, -1], [23, 24, 3]])
    columns = torch.tensor([[11, 12], [-5, 0]])
    out = gather_pixels(images, rows, columns)
    assert out.shape == (2, 3, 3, 2)
    expected = torch.zeros(2, 3, 3, 2, dtype=torch.uint8)
    for b in range(2):
        for i, row in enumerate(rows[b].tolist()):
            for j, column in enumerate(columns[b].tolist()):
                if 0 <= row < SIZE[0] and 0 <= column < SIZE[1]:
                    expected[b, :, i, j] = images[b, :, row, column]
    assert torch.equal(out, expected)


def test_erase_fills_one_rectangle_of_each_image() -> None:
    images = normalize(make_batch(3).images)
    expected = images.clone()
    boxes = torch.tensor([[2, 5, 1, 12], [0, 0, 0, 0], [0, 24, 3, 4]])
    for image, (top, bottom, left, right) in zip(expected, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right] = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    assert torch.equal(erase_(images, boxes, (1, 2, 3)), expected)


@pytest.mark.parametrize("fill", [(0.0, 0.0, 0.0), IMAGENET_MEAN])
def test_erasing_is_after_normalisation_and_by_image(fill: tuple[float, float, float]) -> None:
    batch = make_batch(100)
    out = run({"erase": RandomErasing(probability=0.6, fill=fill)}, batch)
    plain = normalize(batch.images)
    boxes = set()
    for result, image in zip(out, plain, strict=True):
        changed = (result != image).any(0)
        if not changed.any():
            continue
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        box = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
        inside = result[:, box[0] : box[1], box[2] : box[3]]
        assert torch.equal(inside, torch.tensor(fill)[:, None, None].expand_as(inside))
        boxes.add(box)
    assert 45 < len(boxes) < 75  # all different, about 60 of 100


def test_noise_is_normal_and_only_inside_of_rectangles() -> None:
    images = normalize(make_batch(3).images)
    boxes = torch.tensor([[2, 22, 1, 11], [0, 0, 0, 0], [0, 24, 3, 4]])
    plain, numbers = images.clone(), torch.randn(3 * 224, generator=torch.Generator().manual_seed(5))
    out = erase_with_noise_(images, boxes, torch.Generator().manual_seed(5))
    assert torch.equal(out[0, :, 2:22, 1:11], numbers[:600].view(3, 20, 10))
    assert torch.equal(out[2, :, :, 3:4], numbers[600:].view(3, 24, 1))
    for image, result, (top, bottom, left, right) in zip(plain, out, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right] = result[:, top:bottom, left:right]
    assert torch.equal(out, plain)


def test_erasing_with_noise_draws_the_same_rectangles() -> None:
    batch = make_batch(100)
    plain, zeros, noise = (
        run(steps, batch) for steps in ({}, {"erase": RandomErasing()}, {"erase": RandomErasing(noise=True)})
    )
    erased = (zeros != plain).any(1)
    assert torch.equal(erased, (noise != plain).any(1))
    values = noise.permute(0, 2, 3, 1)[erased]
    assert abs(values.mean().item()) < 0.05
    assert abs(values.std().item() - 1) < 0.05


def test_rectangles_keep_to_area_and_aspect_and_reach_every_border() -> None:
    erasing = RandomErasing(probability=1.0, area=(0.1, 0.3), aspect=(0.5, 2.0))
    height, width = 96, 48
    boxes = erasing.boxes(4000, (height, width), torch.Generator().manual_seed(0)).numpy()
    tall, wide = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    share, aspect = tall * wide / (height * width), tall / wide
    assert (share > 0.1 * 0.93).all()
    assert (share < 0.3 * 1.07).all()
    assert (aspect > 0.5 * 0.93).all()
    assert (aspect < 2.0 * 1.07).all()
    np.testing.assert_allclose(share.mean(), 0.2, atol=0.005)
    assert (tall < height).all()
    assert (wide < width).all()
    assert boxes[:, [0, 2]].min() == 0
    assert boxes[:, 1].max() == height
    assert boxes[:, 3].max() == width


@pytest.mark.parametrize("log_aspect", [False, True])
def test_aspects_are_even_on_a_plain_or_on_a_logarithmic_scale(log_aspect: bool) -> None:
    erasing = RandomErasing(probability=1.0, area=(0.05, 0.1), aspect=(0.5, 2.0), log_aspect=log_aspect)
    boxes = erasing.boxes(4000, (960, 960), torch.Generator().manual_seed(0)).double()
    aspect = (boxes[:, 1] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 2])
    assert aspect.median().item() == pytest.approx(1.0 if log_aspect else 1.25, abs=0.03)


def test_erasing_gives_up_where_no_rectangle_fits() -> None:
    erasing = RandomErasing(probability=1.0, area=(0.9, 1.0), aspect=(8.0, 9.0))
    assert erasing.boxes(5, SIZE, torch.Generator()).tolist() == [[0, 0, 0, 0]] * 5


STEPS = {
    "crop": PadCrop(padding=4),
    "flip": HorizontalFlip(),
    "erase": RandomErasing(),
    "noise": RandomErasing(noise=True),
}


def test_a_pure_function_of_seed_epoch_step_and_rank() -> None:
    batch = make_batch()
    first = run(STEPS, batch, seed=1, epoch=2, step=3, rank=4)
    run(STEPS, batch, seed=1, epoch=2, step=4, rank=4)
    torch.manual_seed(0)
    assert torch.equal(run(STEPS, batch, seed=1, epoch=2, step=3, rank=4), first)
    for seed, epoch, step, rank in ((2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)):
        assert not torch.equal(run(STEPS, batch, seed=seed, epoch=epoch, step=step, rank=rank), first)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    run(STEPS, make_batch())
    assert torch.equal(torch.get_rng_state(), before)


def test_probability_one_and_zero() -> None:
    batch = make_batch()
    plain = normalize(batch.images)
    assert torch.equal(run({"flip": HorizontalFlip(probability=1.0)}, batch), plain.flip(-1))
    never = {
        "flip": HorizontalFlip(probability=0.0),
        "erase": RandomErasing(probability=0.0),
        "crop": PadCrop(padding=0),
    }
    assert torch.equal(run(never, batch), plain)


@pytest.mark.parametrize(
    ("make", "parameter", "text"),
    [
        (lambda: PadCrop(padding=-1), "padding", "must be at least 0, got -1"),
        (lambda: PadCrop(fill=256), "fill", "must be a gray value in 0 .. 255, got 256"),
        (lambda: PadCrop(fill=127, mirror=True), "fill", "is not used with mirror"),
        (lambda: RandomErasing(fill=IMAGENET_MEAN, noise=True), "fill", "is not used with noise"),
        (lambda: HorizontalFlip(probability=1.5), "probability", "must be in 0 .. 1, got 1.5"),
        (lambda: RandomErasing(area=(0.4, 0.02)), "area", "must be two numbers, smallest first, above 0"),
        (lambda: RandomErasing(aspect=(0.0, 1.0)), "aspect", "must be two numbers above 0, smallest first"),
        (lambda: RandomErasing(fill=(0.0,)), "fill", "must be three numbers, one for each channel, got [0.0]"),
    ],
)
def test_values_out_of_range(make, parameter: str, text: str) -> None:
    with pytest.raises(ArgumentError) as error:
        make()
    assert error.value.parameter == parameter
    assert error.value.text.startswith(text)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_gives_what_the_cpu_gives() -> None:
    batch = make_batch()
    torch.testing.assert_close(run(STEPS, batch.to("cuda")).cpu(), run(STEPS, batch), atol=1e-6, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_is_not_waited_for() -> None:
    batch = make_batch().to("cuda")
    run(STEPS, batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(STEPS, batch, step=1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_hook_of_the_former_name_is_refused():
    with pytest.raises(TypeError, match="overrides `colour`, which is called `color` now"):

        class Older(Augmentation):
            def colour(self, images, batch, *, generator):
                return images
