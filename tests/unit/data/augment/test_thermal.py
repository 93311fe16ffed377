from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from vireid.core.rng import torch_generator
from vireid.data.augment.thermal import JitterOrBlur, blur, scale_brightness, scale_contrast
from vireid.testing import tiny_batch


def images(count: int = 3, height: int = 9, width: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def as_pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def assert_within_one_level(ours: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(ours.permute(1, 2, 0).numpy().astype(float), expected.astype(float), atol=1, rtol=0)


@pytest.mark.parametrize(
    ("change", "pillow"), [(scale_brightness, ImageEnhance.Brightness), (scale_contrast, ImageEnhance.Contrast)]
)
def test_brightness_and_contrast_are_those_of_pillow(change, pillow):
    given, factors = images(), [0.7, 1.0, 1.3]
    for ours, image, factor in zip(change(given, torch.tensor(factors)), given, factors):
        assert_within_one_level(ours, np.asarray(pillow(as_pillow(image)).enhance(factor)))


def blurred_by_loop(image: np.ndarray, sigma: float, kernel: int) -> np.ndarray:
    """One image (H, W, 3) with numpy's reflected border."""
    half = kernel // 2
    padded = np.pad(image.astype(float), ((half, half), (half, half), (0, 0)), mode="reflect")
    line = np.exp(-0.5 * ((np.arange(kernel) - half) / sigma) ** 2)
    weights = np.outer(line, line) / line.sum() ** 2
    result = np.zeros(image.shape)
    for row, column in np.ndindex(image.shape[:2]):
        patch = padded[row : row + kernel, column : column + kernel]
        result[row, column] = (patch * weights[..., None]).sum(axis=(0, 1))
    return result.round()


@pytest.mark.parametrize("kernel", [1, 5, 21], ids="kernel {}".format)  # 21: more border than image
def test_blur_equals_the_loop(kernel):
    given, sigmas = images(), [0.3, 1.5, 3.0]
    for ours, image, sigma in zip(blur(given, torch.tensor(sigmas), kernel), given, sigmas):
        assert_within_one_level(ours, blurred_by_loop(image.permute(1, 2, 0).numpy(), sigma, kernel))


def test_a_line_of_one_pixel_is_its_own_border():
    given = images(height=1, width=1)
    assert torch.equal(blur(given, torch.tensor([1.0, 2.0, 3.0]), 5), given)


def test_half_of_the_images_are_blurred_and_the_others_jittered():
    """On a flat gray image blur changes nothing, and brightness everything."""
    count, batch = 400, tiny_batch()
    flat = torch.full((count, 3, 4, 4), 100, dtype=torch.uint8)
    changed = JitterOrBlur(strength=0.3, kernel=5).color(flat, batch, generator=torch_generator(0))
    levels = changed[:, 0, 0, 0].float()
    assert (changed.float() == levels.view(-1, 1, 1, 1)).all()
    assert 0.4 < (levels == 100).float().mean() < 0.6
    assert 69 <= levels.min() < 75
    assert 125 < levels.max() <= 130
    assert (flat == 100).all()  # the input is unchanged


@pytest.mark.parametrize("wrong", [{"strength": 1.5}, {"kernel": 4}, {"sigma": (3.0, 1.0)}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JitterOrBlur(**wrong)
