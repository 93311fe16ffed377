"""Golden adapters of PMT: losses, stages, learning rates and augmentations. Rows are shuffled before each loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_augment import check_erased
from adapters_losses import MPA_LOSS, leaf, same, tensor
from PIL import Image
from runner import Case, adapter
from torch import Tensor, nn

from vireid.core.types import Batch, Modality, ModelOutput, Progress
from vireid.data.augment.color import gray_pixels
from vireid.data.augment.pixels import erase_, normalize
from vireid.data.augment.thermal import blur, scale_brightness, scale_contrast
from vireid.data.samplers.samplers import released_epoch
from vireid.engine.optim import AdamW, SharedFloorCosine, apply_schedule
from vireid.layers.norms import l2_normalize
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.modality_shared import DiscriminativeCenter, ModalitySharedEnhancement
from vireid.losses.objective import Objective, Term
from vireid.losses.schedules import EpochWindow
from vireid.losses.triplet import BatchHardTriplet, IntraModalityTriplet

PIXELS = {"rtol": 0, "atol": 1e-6}
RATES = {"rtol": 1e-12, "atol": 0}


def modality_of(rows: int) -> Tensor:
    """Visible rows first, as many of each."""
    return torch.tensor([Modality.VISIBLE, Modality.INFRARED]).repeat_interleave(rows // 2)


def shuffled(rows: int) -> Tensor:
    return torch.randperm(rows, generator=torch.Generator().manual_seed(rows))


def check_loss(case: Case, loss: nn.Module, *fields: Tensor) -> None:
    order = shuffled(len(case.arrays["x"]))
    for dtype, tolerance in MPA_LOSS.items():
        x = leaf(case.arrays["x"], dtype)
        rows = l2_normalize(x) if case.params["feat_norm"] else x
        value = loss(rows[order], *(field[order] for field in fields))
        value.backward()
        same(value, case.arrays["loss"], tolerance, f"loss, {dtype}")
        same(x.grad, case.arrays["grad_x"], tolerance, f"gradient, {dtype}")


@adapter("pmt", "pmt_triplet")
def pmt_triplet(case: Case) -> None:
    """A negative margin of the release chooses the soft margin."""
    margin = case.params["margin"]
    check_loss(case, BatchHardTriplet(margin=None if margin < 0 else margin), tensor(case.arrays["labels"]))


@adapter("pmt", "pmt_msel")
def pmt_msel(case: Case) -> None:
    labels = tensor(case.arrays["labels"])
    check_loss(case, ModalitySharedEnhancement(), labels, modality_of(len(labels)))


@adapter("pmt", "pmt_dcl")
def pmt_dcl(case: Case) -> None:
    check_loss(case, DiscriminativeCenter(), tensor(case.arrays["labels"]))


# -- the two stages ----------------------------------------------------------------------------------------------------


def terms_of(params: Mapping) -> dict[str, Term]:
    """Our objective for PMT and for its baseline. ID: the mean over both modalities, twice."""
    margin = params["margin"]
    terms = {"id": Term(IdentityCrossEntropy(), weight=2.0), "triplet": Term(BatchHardTriplet(margin=margin))}
    if params["method"] == "base":
        return terms
    gray, color = EpochWindow(stop=params["pl_epoch"]), EpochWindow(start=params["pl_epoch"])
    return {
        "id": terms["id"],
        "intra": Term(IntraModalityTriplet(margin=margin), schedule=gray),
        "triplet": Term(BatchHardTriplet(margin=margin), schedule=color),
        "dcl": Term(DiscriminativeCenter(), weight=params["dcl"], schedule=color),
        "msel": Term(ModalitySharedEnhancement(), weight=params["msel"], schedule=color),
    }


def check_terms(case: Case, logged: Mapping[str, Tensor], gray: bool, tolerance: Mapping[str, float]) -> None:
    """Stored terms have no weight, apart from the two means of ID."""
    ours = {**logged, "id": 2 * logged["id"], "triplet": logged["intra" if gray else "triplet"]}
    for name in case.params["terms"]:
        same(ours[name], case.arrays[f"term_{name}"], tolerance, name)


@adapter("pmt", "pmt_objective")
def pmt_objective(case: Case) -> None:
    params, labels = case.params, tensor(case.arrays["labels"])
    epoch = params["epoch"] - params["epoch_base"]
    objective = Objective(terms_of(params), provided=["features", "logits", "labels", "modality"])
    order, zeros = shuffled(len(labels)), torch.zeros_like(labels)
    batch = Batch(zeros, labels, modality_of(len(labels)), zeros, zeros, zeros).select(order)
    for dtype, tolerance in MPA_LOSS.items():
        features, logits = leaf(case.arrays["features"], dtype), leaf(case.arrays["logits"], dtype)
        out = ModelOutput({"features": features[order], "logits": logits[order]})
        total, logged = objective(batch, out, Progress(epoch=epoch))
        total.backward()
        same(total, case.arrays["loss"], tolerance, f"total, {dtype}")
        same(features.grad, case.arrays["grad_features"], tolerance, f"gradient of the features, {dtype}")
        same(logits.grad, case.arrays["grad_logits"], tolerance, f"gradient of the logits, {dtype}")
        check_terms(case, logged, params["images"] == "grey" and params["method"] != "base", tolerance)


@adapter("pmt", "pmt_lr")
def pmt_lr(case: Case) -> None:
    params = case.params
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "scale": scale} for scale in (1.0, params["lr_pretrain"])]
    optimizer = AdamW(groups, lr=params["base_lr"])
    shares = {"start": params["lr_init"], "floor": params["lr_min"]}
    schedule = SharedFloorCosine(warmup=params["warmup"], epochs=params["max_epoch"], **shares)
    for epoch, stored in zip(case.arrays["epochs"].tolist(), case.arrays["rates"], strict=True):
        apply_schedule(optimizer, schedule, epoch - params["epoch_base"])
        np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], stored, **RATES)


@adapter("pmt", "pmt_sampler")
def pmt_sampler(case: Case) -> None:
    """The release uses the second batch of an epoch twice, and not the first."""
    arrays, params = case.arrays, case.params
    state = np.random.RandomState(params["seed"])
    drawn = released_epoch(
        arrays["color_labels"],
        arrays["thermal_labels"],
        identities=params["batch_size"] // params["num_pos"],
        per_modality=params["num_pos"],
        state=state,
        distinct=True,
    )
    for name, positions in zip(("index_color", "index_thermal"), drawn, strict=True):
        batches = positions.reshape(-1, params["batch_size"])
        batches[0] = batches[1]
        np.testing.assert_array_equal(batches.reshape(-1), arrays[name])
    np.testing.assert_array_equal(state.random_sample(3), arrays["next_draws"])


# -- augmentations -----------------------------------------------------------------------------------------------------


@adapter("pmt", "pmt_erasing")
def pmt_erasing(case: Case) -> None:
    numbers = {"probability": case.params["p"], **{name: case.params[name] for name in ("sl", "sh", "r1")}}
    channels = case.arrays["images"].shape[1]  # the release fills images of one channel with the first value
    check_erased(case, lambda images, boxes: erase_(images, boxes, case.params["mean"][:channels]), **numbers)


@adapter("pmt", "pmt_pixels")
def pmt_pixels(case: Case) -> None:
    """Pillow resizes in the release; a cache of images of another size has no counterpart here."""
    size = case.params["width"], case.params["height"]
    resized = Image.fromarray(case.arrays["image"]).resize(size, Image.Resampling.BILINEAR)
    images = torch.from_numpy(np.array(resized)).permute(2, 0, 1).unsqueeze(0)
    same(normalize(images)[0], case.arrays["test"], PIXELS, "test transform")
    same(normalize(gray_pixels(images))[0], case.arrays["grey"], PIXELS, "gray training transform")


@adapter("pmt", "pmt_thermal")
def pmt_thermal(case: Case) -> None:
    params, gray_level = case.params, {"rtol": 0, "atol": 1}
    images = torch.from_numpy(case.arrays["image"]).permute(2, 0, 1).unsqueeze(0)
    changes = {"brightness": scale_brightness, "contrast": scale_contrast}
    jittered = images
    for name in params["order"]:
        jittered = changes[name](jittered, torch.tensor([params[name]]))
    blurred = blur(images, torch.tensor([params["sigma"]]), params["kernel"])
    for ours, name in ((jittered, "jittered"), (blurred, "blurred")):
        same(ours[0].permute(1, 2, 0), case.arrays[name], gray_level, name)
