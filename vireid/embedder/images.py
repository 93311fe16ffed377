"""Inputs of an embedder: paths, Pillow images, arrays, tensors and iterables of them become uint8 pixels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vireid.core.errors import ArgumentError, DataError, Finding
from vireid.data.images.decode import convert_image, read_image
from vireid.data.images.depth import DepthMapping

OneImage: TypeAlias = str | Path | Image.Image | np.ndarray | Tensor
Images: TypeAlias = OneImage | Iterable[OneImage]

ACCEPTED = (
    "pass paths, Pillow images, uint8 arrays (H, W, 3) or (N, H, W, 3), tensors (3, H, W) or (N, 3, H, W) of uint8 or"
    " of floats in [0, 1], or an iterable of these"
)


def count_images(images: Images) -> int | None:
    """Return the number of images; None if it is known only at the end of an iterable.

    Example:
        >>> count_images(["a.png", "b.png"]), count_images("a.png"), count_images(np.zeros((5, 8, 4, 3), np.uint8))
        (2, 1, 5)
    """
    if isinstance(images, (np.ndarray, Tensor)):
        return len(images) if images.ndim == 4 else 1
    if isinstance(images, (str, Path, Image.Image)):
        return 1
    if isinstance(images, (list, tuple)) and any(getattr(image, "ndim", 0) == 4 for image in images):
        return sum(count_images(image) or 0 for image in images)
    return len(images) if isinstance(images, Sized) else None


def pixel_batches(
    images: Images, size: tuple[int, int], *, batch: int, depth: DepthMapping | None = None
) -> Iterator[np.ndarray]:
    """Convert images to batches of pixels (B, H, W, 3) uint8, upright and resized as the images of a training.

    A batch is decoded by threads while the one before is used. An iterable is read at most two batches ahead.

    Args:
        images: The images; see `ACCEPTED`.
        size: (H, W) of the result.
        batch: Images in a batch.
        depth: How gray images of more than 8 bits become 8 bits; None: they are refused.

    Raises:
        DataError: With all images of a batch that cannot be read.
        ArgumentError: For a value that is not an image.
    """
    items = enumerate(_single(images))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:

        def submitted() -> list[Future[tuple[np.ndarray | None, Finding | None]]]:
            return [pool.submit(_pixels, item, number, size, depth) for number, item in islice(items, batch)]

        ready = submitted()
        while ready:
            following = submitted()
            results = [future.result() for future in ready]
            if findings := [finding for _, finding in results if finding is not None]:
                raise DataError(f"{len(findings)} of {len(results)} images of a batch cannot be embedded", findings)
            yield np.stack([pixels for pixels, _ in results if pixels is not None])
            ready = following


def whole_image(image: OneImage, depth: DepthMapping | None = None) -> np.ndarray:
    """Convert one image to pixels (H, W, 3) uint8 of its own size, upright.

    Raises:
        DataError: If it cannot be read.
        ArgumentError: If it is not one image.
    """
    singles = list(islice(_single(image), 2))
    if len(singles) != 1 or singles[0] is not image:
        raise ArgumentError("frame", f"must be one image, got {_name(image)}")
    pixels, finding = _pixels(image, 0, None, depth)
    if pixels is None:
        raise DataError(str(finding))
    return pixels


def _single(images: Images) -> Iterator[Any]:
    """Yield single images; arrays and tensors of several images are split."""
    if isinstance(images, (np.ndarray, Tensor)):
        yield from (images if images.ndim == 4 else [images])
    elif isinstance(images, (str, Path, Image.Image)):
        yield images
    elif isinstance(images, Iterable) and not isinstance(images, (bytes, dict)):
        for image in images:
            yield from (image if isinstance(image, (np.ndarray, Tensor)) and image.ndim == 4 else [image])
    else:
        raise ArgumentError("images", f"must be images, got {_name(images)}; {ACCEPTED}")


def _pixels(
    image: Any, number: int, size: tuple[int, int] | None, depth: DepthMapping | None
) -> tuple[np.ndarray | None, Finding | None]:
    """The pixels of one image, or what is wrong with its content."""
    if isinstance(image, (str, Path)):
        reading, place = read_image(os.path.expanduser(image), size, depth), str(image)
    else:
        opened = image if isinstance(image, Image.Image) else Image.fromarray(_array(image, number))
        reading, place = convert_image(opened, size, depth), f"images[{number}]"
    if reading.pixels is None:
        return None, Finding(reading.fault, place=place, kind="unusable images")
    return reading.pixels, None


def _array(image: Any, number: int) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of an array or a tensor."""
    name = f"images[{number}]"
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != 3:
            hint = "; permute the channels to the front" if image.ndim == 3 and image.shape[-1] == 3 else ""
            raise ArgumentError(name, f"must be a tensor (3, H, W), got the shape {tuple(image.shape)}{hint}")
        return np.ascontiguousarray(_bytes(image.detach().cpu(), name).permute(1, 2, 0).numpy())
    if not isinstance(image, np.ndarray):
        raise ArgumentError(name, f"must be an image, got {_name(image)}; {ACCEPTED}")
    if image.dtype != np.uint8:
        raise ArgumentError(name, f"must be a uint8 array of values from 0 to 255, got {image.dtype}; convert it")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        hint = "; repeat a gray image: np.repeat(image[..., None], 3, axis=2)" if image.ndim == 2 else ""
        raise ArgumentError(name, f"must be an array (H, W, 3), got the shape {image.shape}{hint}")
    return np.ascontiguousarray(image)


def _bytes(image: Tensor, name: str) -> Tensor:
    if image.dtype == torch.uint8:
        return image
    if not image.is_floating_point():
        raise ArgumentError(name, f"must be a tensor of uint8 or of floats in [0, 1], got {image.dtype}")
    values = image.float()
    low, high = (float(value) for value in torch.aminmax(values)) if values.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # also false for NaN
        raise ArgumentError(
            name, f"must have values in [0, 1], got {low:.3g} to {high:.3g}; pass images that are not normalized"
        )
    return values.mul(255).round().to(torch.uint8)


def _name(value: Any) -> str:
    if isinstance(value, (np.ndarray, Tensor)):
        return f"{type(value).__name__} of the shape {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"
