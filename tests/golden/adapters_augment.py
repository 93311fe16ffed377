"""Golden adapters of what is done to images: the augmentations of the releases, and mirror images in their tests."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from adapters_losses import same, tensor
from runner import Case, adapter
from torch import Tensor

from vireid.core.types import Batch
from vireid.data.augment.color import GRAY, KEEP, gray_boxes_, mix_channels
from vireid.data.augment.pixels import erase_, sides
from vireid.evaluation.flips import with_mirror
from vireid.layers.norms import l2_normalize

# -- mirror images in the tests of CAJ and DEEN ----------------------------------------------------------------------

FLIPS = {"rtol": 1e-10, "atol": 1e-12}


def images_alone(images: Tensor) -> Batch:
    zeros = torch.zeros(len(images), dtype=torch.long)
    return Batch(images, zeros, zeros, zeros, zeros, zeros)


def described_in_batches(case: Case, network: Callable[[Tensor], Tensor]) -> Tensor:
    """The network on images and their mirror images, as many at once as the release took."""
    describe = with_mirror(lambda batch: network(batch.images.flatten(1)))
    images = tensor(case.arrays["in_x"], torch.float64)
    return torch.cat([describe(images_alone(rows)) for rows in images.split(case.params["batch"])])


@adapter("agw", "tta_caj_flip")
def tta_caj_flip(case: Case) -> None:
    for out, matrix in {"out0": "A1", "out1": "A2"}.items():
        weights = tensor(case.arrays[matrix], torch.float64)
        rows = l2_normalize(described_in_batches(case, lambda flat, weights=weights: l2_normalize(flat @ weights)))
        same(rows, case.arrays[out], FLIPS, out)


@adapter("agw", "tta_deen_flip")
def tta_deen_flip(case: Case) -> None:
    """Six descriptions (two in each of three branches), each added to that of the mirror image; lengths stay."""
    branches = (lambda p: p, lambda p: p.roll(1, 1), lambda p: p.roll(2, 1) + 0.1)
    weights = [tensor(case.arrays[name], torch.float64) for name in ("A1", "A2")]
    networks = [
        lambda flat, matrix=matrix, branch=branch: l2_normalize(branch(l2_normalize(flat @ matrix)))
        for branch in branches
        for matrix in weights
    ]
    for i, network in enumerate(networks):
        same(described_in_batches(case, network), case.arrays[f"out{i}"], FLIPS, f"out{i}")


# -- augmentations: the release's own draws, replayed from Python's `random`, give the parameters ----------------------

GRAY_VALUES = {"rtol": 0, "atol": 1e-7}
CAJ_FILL = (0.4914, 0.4822, 0.4465)


def exchange_choice(draw: Random, gray: int) -> int:
    return draw.randint(0, gray)  # a channel, or 3: the luma


def adaptive_choice(draw: Random, probability: float | None) -> int:
    """`probability` None: the form without luma."""
    choice = draw.randint(0, 3)
    if choice < GRAY or probability is None:
        return choice if choice < GRAY else KEEP
    return KEEP if draw.uniform(0, 1) > probability else GRAY


def box(draw: Random, size: tuple[int, int], probability: float, sl: float, sh: float, r1: float) -> list[int]:
    """One rectangle: top, bottom, left, right; empty where nothing is erased. Sides and their test are ours."""
    height, width = size
    if draw.uniform(0, 1) > probability:
        return [0, 0, 0, 0]
    for _ in range(100):
        area, aspect = draw.uniform(sl, sh) * (height * width), draw.uniform(r1, 1 / r1)
        tall, wide, fits = sides(torch.tensor(area).double(), torch.tensor(aspect).double(), size)
        if fits:
            top, left = draw.randint(0, height - int(tall)), draw.randint(0, width - int(wide))
            return [top, top + int(tall), left, left + int(wide)]
    return [0, 0, 0, 0]


def pictures(case: Case) -> Tensor:
    name = "in_x" if "in_x" in case.arrays else "images"
    return tensor(case.arrays[name]).contiguous(memory_format=torch.channels_last)


def check_images(case: Case, draw: Random, ours: Tensor, tolerance: dict[str, float]) -> None:
    """The images, and, where it is stored, the number that the release's generator gives next."""
    same(ours, case.arrays["out_y" if "out_y" in case.arrays else "out"], tolerance, "images")
    if "out_next" in case.arrays:
        assert draw.random() == case.arrays["out_next"][0]


def generator_of(case: Case) -> Random:
    return Random(case.params["python_seed" if "python_seed" in case.params else "seed"])


def check_mixed(case: Case, choose: Callable[[Random], int]) -> None:
    draw, images = generator_of(case), pictures(case)
    choice = torch.tensor([choose(draw) for _ in images])
    check_images(case, draw, mix_channels(images, choice), GRAY_VALUES)


@adapter("agw", "aug_channel_exchange")
def aug_channel_exchange(case: Case) -> None:
    check_mixed(case, lambda draw: exchange_choice(draw, case.params["gray"]))


@adapter("mpa", "mce_aug_channel_exchange")
def mce_aug_channel_exchange(case: Case) -> None:
    check_mixed(case, lambda draw: exchange_choice(draw, 2))


@adapter("mpa", "mce_aug_channel_exchange_gray3")
def mce_aug_channel_exchange_with_luma(case: Case) -> None:
    check_mixed(case, lambda draw: exchange_choice(draw, 3))


@adapter("agw", "aug_channel_adap")
@adapter("mpa", "mce_aug_channel_adap")
def aug_channel_adap(case: Case) -> None:
    check_mixed(case, lambda draw: adaptive_choice(draw, None))


@adapter("agw", "aug_channel_adap_gray")
@adapter("mpa", "mce_aug_channel_adap_gray")
def aug_channel_adap_gray(case: Case) -> None:
    check_mixed(case, lambda draw: adaptive_choice(draw, case.params.get("probability", 0.5)))


ERASING = {"probability": 0.5, "sl": 0.02, "sh": 0.4, "r1": 0.3}  # MCE's; MCLNet's case states its own in words


def check_erased(case: Case, paint: Callable[[Tensor, Tensor], Tensor], **given: float) -> None:
    draw, images = generator_of(case), pictures(case)
    numbers = given or {name: case.params.get(name, value) for name, value in ERASING.items()}
    boxes = torch.tensor([box(draw, (images.shape[2], images.shape[3]), **numbers) for _ in images])
    check_images(case, draw, paint(images, boxes), GRAY_VALUES)


@adapter("agw", "aug_channel_random_erasing", "aug_deen_random_erasing", "aug_llcm_agw_random_erasing")
@adapter("mpa", "mce_aug_channel_random_erasing")
def random_erasing(case: Case) -> None:
    check_erased(case, lambda images, boxes: erase_(images, boxes, case.params.get("fill", CAJ_FILL)))


@adapter("mpa", "mclnet_random_erasing")
def mclnet_random_erasing(case: Case) -> None:
    numbers = {"probability": 0.8, "sl": 0.1, "sh": 0.8, "r1": 0.3}
    check_erased(case, lambda images, boxes: erase_(images, boxes, CAJ_FILL), **numbers)


@adapter("agw", "aug_llcm_random_grayscale_erasing")
def aug_llcm_random_grayscale_erasing(case: Case) -> None:
    """The release takes the drawn top for the left and the left for the top; what then lies outside is cut off."""

    def exchanged(boxes: Tensor) -> Tensor:
        top, bottom, left, right = boxes.unbind(1)
        return torch.stack([left, left + bottom - top, top, top + right - left], dim=1)

    check_erased(case, lambda images, boxes: gray_boxes_(images, exchanged(boxes)))


@adapter("agw", "aug_caj_three_views")
def aug_caj_three_views(case: Case) -> None:
    """Plain, exchanged and infrared views, drawn image by image from one generator."""
    draw, images = generator_of(case), pictures(case)
    size = (images.shape[2], images.shape[3])
    boxes, choices = [], []
    for _ in images:
        plain, exchanged = box(draw, size, **ERASING), box(draw, size, **ERASING)
        channel = exchange_choice(draw, 2)
        infrared = box(draw, size, **ERASING)
        boxes.append((plain, exchanged, infrared))
        choices.append((KEEP, channel, adaptive_choice(draw, 0.5)))
    for view in range(3):
        erased = erase_(images.clone(), torch.tensor([each[view] for each in boxes]), CAJ_FILL)
        ours = mix_channels(erased, torch.tensor([each[view] for each in choices]))
        same(ours, case.arrays[f"out_v{view}"], GRAY_VALUES, f"view {view}")
