"""Time of augmentation on batches, compared with the same work image by image. Prints one line of JSON.

    python benchmarks/speed/augmentation_speed.py --device cpu --batch 64 --size 288 144

- `batch_ms`: `Augment` with crop, flip and erasing, from uint8 to normalized float32 channels_last.
- `loop_ms`: pad, slice, flip, normalize and erase each image, then stack, as a data loader does.
- `draw_ms`: the part of `batch_ms` that samples the rectangles on the CPU.
- `ratio`: loop_ms / batch_ms.

Times are the smallest of the repeats, because other processes on the machine can only increase them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vireid.core.rng import torch_generator
from vireid.core.types import Batch
from vireid.data.augment.pixels import IMAGENET_MEAN, IMAGENET_STD
from vireid.data.augment.transforms import Augment, HorizontalFlip, PadCrop, RandomErasing

PADDING = 10


def by_image(images: Tensor, erasing: RandomErasing, step: int) -> Tensor:
    """The same kind of work, one image after the other: (B, 3, H, W) uint8 -> float32."""
    generator = torch_generator(0, 0, step)
    mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    height, width = images.shape[2:]
    done = []
    for image in images:
        top, left = torch.randint(0, 2 * PADDING + 1, (2,), generator=generator).tolist()
        image = F.pad(image, (PADDING,) * 4)[:, top : top + height, left : left + width]
        if torch.rand((), generator=generator) < 0.5:
            image = image.flip(-1)
        image = (image.float() / 255 - mean) / std
        box = erasing.boxes(1, (height, width), generator)[0].tolist()
        image[:, box[0] : box[1], box[2] : box[3]] = 0
        done.append(image)
    return torch.stack(done).contiguous(memory_format=torch.channels_last)


def fastest_ms(work: Callable[[int], object], device: torch.device, repeats: int) -> float:
    times = []
    for step in range(repeats + 3):
        start = time.perf_counter()
        work(step)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return round(1000 * min(times[3:]), 3)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 144), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args(argv)
    device, (height, width) = torch.device(options.device), options.size
    pixels = torch.randint(0, 256, (options.batch, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    zeros = torch.zeros(options.batch, dtype=torch.int64)
    batch = Batch(pixels, zeros, zeros, zeros, zeros, zeros).to(device)
    erasing = RandomErasing()
    augment = Augment({"crop": PadCrop(padding=PADDING), "flip": HorizontalFlip(), "erasing": erasing}, seed=0)
    result = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "size": [height, width],
        "batch_ms": fastest_ms(lambda step: augment(batch, epoch=0, step=step), device, options.repeats),
        "loop_ms": fastest_ms(lambda step: by_image(batch.images, erasing, step), device, options.repeats),
        "draw_ms": fastest_ms(
            lambda step: erasing.boxes(options.batch, (height, width), torch_generator(step)), device, options.repeats
        ),
    }
    result["ratio"] = round(result["loop_ms"] / result["batch_ms"], 2)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
