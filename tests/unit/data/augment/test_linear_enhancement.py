"""Random linear enhancement against loops over images, rectangles and channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.core.rng import torch_generator
from vireid.data.augment.linear_enhancement import (
    ModerateRLE,
    RadicalRLE,
    channel_weights,
    mix_to_gray,
    scale_rectangles,
)
from vireid.data.augment.transforms import Augment, RandomErasing
from vireid.testing import tiny_batch

FLOOR = 0.1


def images(count: int = 6, size: tuple[int, int] = (17, 9), seed: int = 0) -> Tensor:
    return torch.rand(count, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def enhanced(step, values: Tensor, seed: int = 0) -> Tensor:
    return step.enhance(values.clone(), tiny_batch(), generator=torch_generator(seed))


def pixels_batch(seed: int = 0):
    batch = tiny_batch(size=(24, 12), seed=seed)
    return batch.with_images(torch.rand(batch.images.shape, generator=torch_generator(seed)).mul(255).byte())


# -- moderate ----------------------------------------------------------------------------------------------------------


def test_all_channels_become_the_weighted_sum():
    values, weights = images(), channel_weights(torch.rand(6, 3, dtype=torch.float64))
    for ours, image, weight in zip(mix_to_gray(values, weights), values, weights):
        expected = sum(float(weight[channel]) * image[channel] for channel in range(3))
        torch.testing.assert_close(ours, expected.expand(3, -1, -1), rtol=1e-12, atol=0)


def test_three_zeros_give_equal_weights():
    torch.testing.assert_close(channel_weights(torch.zeros(1, 3)), torch.full((1, 3), 1 / 3))


def weights_of(step: ModerateRLE, count: int = 4000) -> np.ndarray:
    """The weights that were drawn: the values of three pixels, each of one pure channel."""
    pure = torch.eye(3, dtype=torch.float64).view(1, 3, 1, 3).expand(count, 3, 1, 3)
    return enhanced(step, pure)[:, 0, 0].numpy()


@pytest.mark.parametrize(
    ("law", "concentration", "deviation"),
    [("dirichlet", 1.0, (1 / 18) ** 0.5), ("dirichlet", 4.0, (2 / 9 / 13) ** 0.5)],
)
def test_weights_of_the_dirichlet_law(law, concentration, deviation):
    weights = weights_of(ModerateRLE(probability=1.0, law=law, concentration=concentration))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(weights.std(axis=0), deviation, rtol=0.05)


def test_weights_of_the_beta_law():
    """Compared with NumPy's own numbers: many images are close to one channel, which uniform numbers are not."""
    draws = np.random.default_rng(0).beta(0.3, 0.3, (100_000, 3))
    expected = (draws / draws.sum(axis=1, keepdims=True) > 0.9).mean()
    shares = [(weights_of(ModerateRLE(probability=1.0, concentration=a)) > 0.9).mean() for a in (0.3, 1.0)]
    assert shares[0] == pytest.approx(expected, abs=0.01)
    assert shares[1] < expected / 4


def test_a_gray_image_does_not_change_and_the_share_is_kept():
    gray = images(200)[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(enhanced(ModerateRLE(probability=1.0), gray), gray)
    changed = (enhanced(ModerateRLE(probability=0.3), images(1000)) != images(1000)).flatten(1).any(1)
    assert changed.double().mean().item() == pytest.approx(0.3, abs=0.05)


# -- radical -----------------------------------------------------------------------------------------------------------


def by_loops(values: Tensor, boxes: Tensor, peaks: Tensor, floor: float) -> tuple[Tensor, list[int]]:
    results, used = values.clone(), []
    for image, rectangles, maxima in zip(results, boxes.tolist(), peaks.tolist()):
        factors, count = torch.ones_like(image), 0
        for (top, bottom, left, right), peak in zip(rectangles, maxima):
            if factors.min() < floor:
                break
            if bottom == top:
                continue
            count += 1
            for channel in range(3):
                patch = image[channel, top:bottom, left:right]
                if patch.max() > 0:
                    factor = peak[channel] / float(patch.max())
                    patch *= factor
                    factors[channel, top:bottom, left:right] *= factor
        used.append(count)
    return results, used


@pytest.mark.parametrize("size", [(17, 9), (6, 4)], ids=str)
@pytest.mark.parametrize("floor", [0.1, 1e-3], ids=str)
def test_rectangles_are_scaled_as_by_loops(size, floor):
    values, step = images(12, size), RadicalRLE(rectangles=7, area=(0.02, 0.6))
    boxes = step.candidates(12, size, torch_generator(1))
    peaks = torch.rand(12, 7, 3, dtype=torch.float64, generator=torch_generator(2)) * 0.9 + 0.05
    boxes[3, 2:] = 0  # too few rectangles
    values[4, 1] = 0  # a black channel
    ours, used = scale_rectangles(values, boxes, peaks, floor=floor)
    expected, counts = by_loops(values, boxes, peaks, floor)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)
    assert used.tolist() == counts
    assert len(set(counts)) > 2


def test_candidates_lie_in_the_image_and_have_the_area_and_aspect():
    step, (height, width) = RadicalRLE(rectangles=20), (384, 192)
    boxes = step.candidates(300, (height, width), torch_generator(0)).double().flatten(0, 1)
    top, bottom, left, right = boxes.unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (bottom <= height).all()
    assert (right <= width).all()
    tall, wide = bottom - top, right - left
    area, aspect = tall * wide / (height * width), tall / wide
    assert 0.019 < area.min() < 0.03
    assert 0.37 < area.max() < 0.41
    assert 0.29 < aspect.min() < 0.45
    assert 3.2 < aspect.max() < 3.4
    assert top.min() == 0
    assert (bottom == height).any()


def test_an_image_that_no_rectangle_fits_does_not_change():
    values = images(5, (1, 1))
    assert torch.equal(enhanced(RadicalRLE(probability=1.0), values), values)


def test_black_images_stay_black():
    black = torch.zeros(50, 3, 12, 6)
    assert torch.equal(enhanced(RadicalRLE(probability=1.0), black), black)


def test_published_values_need_few_rectangles():
    """1.7 rectangles on average and one in 55 % of the images, as measured with the release on values in 0.1 .. 1."""
    values = images(600, (24, 12)) * 0.9 + 0.1
    step = RadicalRLE(probability=1.0)
    boxes = step.candidates(600, (24, 12), torch_generator(3))
    peaks = torch.from_numpy(np.random.default_rng(0).beta(0.4, 0.4, (600, 16, 3)))
    _, used = scale_rectangles(values, boxes, peaks, floor=FLOOR)
    assert used.double().mean().item() == pytest.approx(1.7, abs=0.15)
    assert (used == 1).double().mean().item() == pytest.approx(0.55, abs=0.06)
    assert used.max() < step.rectangles


# -- in the chain ------------------------------------------------------------------------------------------------------


def test_enhancement_precedes_erasing_whatever_the_order_of_the_steps():
    batch, erasing, radical = pixels_batch(), RandomErasing(probability=1.0, fill=(9, 9, 9)), ModerateRLE(probability=1)
    for steps in ({"a": erasing, "b": radical}, {"b": radical, "a": erasing}):
        out = Augment(steps, seed=0)(batch, epoch=0, step=0).images
        erased = (out == 9).all(dim=1)
        assert erased.flatten(1).any(1).all(), "the fill is not changed"
        std, mean = (torch.tensor(each).view(3, 1, 1) for each in ((0.229, 0.224, 0.225), (0.485, 0.456, 0.406)))
        values = out * std + mean
        gray = (values - values[:, :1]).abs().amax(dim=1) < 1e-5
        assert (gray | erased).all()


def test_rows_that_are_not_drawn_are_normalized_as_without_the_step():
    batch = pixels_batch()
    plain = Augment({}, seed=0)(batch, epoch=0, step=0).images
    out = Augment({"a": ModerateRLE(probability=0.0), "b": RadicalRLE(probability=0.0)}, seed=0)(batch, epoch=0, step=0)
    torch.testing.assert_close(out.images, plain, rtol=0, atol=1e-6)
    assert out.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: ModerateRLE(concentration=0), "concentration"),
        (lambda: ModerateRLE(law="gauss"), "law"),
        (lambda: ModerateRLE(probability=2), "probability"),
        (lambda: RadicalRLE(concentration=-1), "concentration"),
        (lambda: RadicalRLE(floor=2), "floor"),
        (lambda: RadicalRLE(rectangles=0), "rectangles"),
        (lambda: RadicalRLE(area=(0.5, 0.1)), "area"),
        (lambda: RadicalRLE(aspect=(0, 1)), "aspect"),
    ],
)
def test_arguments_are_checked(make, parameter):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert caught.value.parameter == parameter
