"""Golden adapters of MCJA: soft ranks, loss, insert, head, networks, augmentations, sampler, schedule, re-ranking."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_losses import leaf, same, tensor
from adapters_rle import recipe
from runner import Case, adapter
from torch import Tensor

from vireid.data.augment.color import copy_channels
from vireid.data.augment.jitter import rotate_hue
from vireid.data.augment.linear_enhancement import channel_weights
from vireid.data.augment.spectrum import jitter_spectrum, mix_boxes, weighted_gray
from vireid.data.samplers.identity import released_identity_blocks
from vireid.layers.soft_rank import soft_rank
from vireid.losses.retrieval import CrossModalityRetrieval
from vireid.models.inserts.distribution import ModalityDistributionBlock

Tolerances = Mapping[torch.dtype, Mapping[str, float]]
PRECISIONS: Tolerances = {torch.float64: {"rtol": 1e-7, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}

# -- loss and insert ---------------------------------------------------------------------------------------------------


@adapter("mcja", "mcja_soft_rank")
def mcja_soft_rank(case: Case) -> None:
    for dtype, tolerance in PRECISIONS.items():
        values = leaf(case.arrays["values"], dtype)
        ranks = soft_rank(values, strength=case.params["strength"])
        same(ranks, case.arrays["ranks"], tolerance, f"ranks, {dtype}")
        (ranks * tensor(case.arrays["upstream"], dtype)).sum().backward()
        same(values.grad, case.arrays["grad_values"], tolerance, f"gradient, {dtype}")


@adapter("mcja", "mcja_cmr_loss")
def mcja_cmr_loss(case: Case) -> None:
    labels, modality = tensor(case.arrays["labels"]), tensor(case.arrays["modality"])
    loss = CrossModalityRetrieval(strength=case.params["strength"])
    for dtype, tolerance in PRECISIONS.items():
        features = leaf(case.arrays["features"], dtype)
        value = loss(features, labels, modality)
        same(value, case.arrays["loss"], tolerance, f"loss, {dtype}")
        value.backward()
        same(features.grad, case.arrays["grad_features"], tolerance, f"gradient, {dtype}")


INSERT_KEYS = {"sc_conv": "attend", "ca_conv": "combine", "ca_bn": "gate_norm", "norm_bn": "norm"}


def insert_of(case: Case) -> ModalityDistributionBlock:
    """The block with weights of the recipe. The bias of the attention has no effect and no counterpart."""
    weights = recipe(
        {name: tuple(shape) for name, shape in case.params["keys_shapes"].items()}, case.params["recipe_seed"]
    )
    block = ModalityDistributionBlock(case.params["channels"], maps=case.params["m"])
    block.load_state_dict(
        {
            f"{INSERT_KEYS[module]}.{kind}": weights[f"{module}.{kind}"]
            for module, kind in (name.split(".") for name in weights)
            if (module, kind) != ("sc_conv", "bias")
        }
    )
    return block


@adapter("mcja", "mcja_mda")
def mcja_mda(case: Case) -> None:
    arrays = case.arrays
    for dtype, tolerance in PRECISIONS.items():
        block = insert_of(case).to(dtype).eval()
        with torch.no_grad():
            same(block(tensor(arrays["x"], dtype)), arrays["out_eval"], tolerance, f"evaluation, {dtype}")
        block.train()
        x = leaf(arrays["x"], dtype)
        out = block(x)
        same(out, arrays["out_train"], tolerance, f"training, {dtype}")
        (out * tensor(arrays["upstream"], dtype)).sum().backward()
        same(x.grad, arrays["grad_x"], tolerance, f"gradient of the map, {dtype}")
        parameters, buffers = dict(block.named_parameters()), dict(block.named_buffers())
        for name in (each for each in arrays if each.startswith(("grad_", "after_")) and each != "grad_x"):
            what, _, key = name.partition("_")
            module, kind = key.rsplit(".", 1)
            if key == "sc_conv.bias":
                same(torch.zeros(len(arrays[name])), arrays[name], {"rtol": 0, "atol": 1e-9}, "gradient without effect")
                continue
            ours: Tensor | None = buffers.get(f"{INSERT_KEYS[module]}.{kind}")
            if what == "grad":
                ours = parameters[f"{INSERT_KEYS[module]}.{kind}"].grad
            same(ours, arrays[name], tolerance, f"{name}, {dtype}")


# -- augmentations and sampler -----------------------------------------------------------------------------------------


def check_pixels(ours: Tensor, stored: np.ndarray, what: str = "images") -> None:
    np.testing.assert_array_equal(ours.numpy(), stored, err_msg=what)


@adapter("mcja", "mcja_weighted_gray")
def mcja_weighted_gray(case: Case) -> None:
    weights = channel_weights(tensor(case.arrays["draws"]))
    same(weights, case.arrays["weights"], {"rtol": 1e-12}, "weights")
    check_pixels(weighted_gray(tensor(case.arrays["images"]), weights), case.arrays["out"])


@adapter("mcja", "mcja_channel_cutmix")
def mcja_channel_cutmix(case: Case) -> None:
    top, left, tall, wide, background, patch = tensor(case.arrays["draws"]).unbind(dim=1)
    boxes = torch.stack([top, top + tall, left, left + wide], dim=1)
    check_pixels(mix_boxes(tensor(case.arrays["images"]), boxes, background, patch), case.arrays["out"])


@adapter("mcja", "mcja_spectrum_jitter")
def mcja_spectrum_jitter(case: Case) -> None:
    images, channel, factor = (tensor(case.arrays[name]) for name in ("images", "channel", "factor"))
    check_pixels(jitter_spectrum(images, channel, factor), case.arrays["out"])


@adapter("mcja", "mcja_hue")
def mcja_hue(case: Case) -> None:
    check_pixels(rotate_hue(tensor(case.arrays["images"]), tensor(case.arrays["factor"])), case.arrays["out"])


@adapter("mcja", "mcja_channel_select")
def mcja_channel_select(case: Case) -> None:
    """The mean of the channels is not a variant of the toolkit; it is a weighted gray image with equal weights."""
    images = tensor(case.arrays["images"])
    for channel, name in enumerate("rgb"):
        check_pixels(copy_channels(images, torch.full((len(images),), channel)), case.arrays[f"out_{name}"], name)
    # thirds are not exact in binary: 1e-9 keeps the mean of a whole number of gray levels above it
    thirds = torch.full((len(images), 3), 1 / 3 + 1e-9, dtype=torch.float64)
    check_pixels(weighted_gray(images, thirds), case.arrays["out_avg"], "mean")


@adapter("mcja", "mcja_sampler")
@adapter("mpa", "mpanet_sampler_norm_triplet")
def mcja_sampler(case: Case) -> None:
    params, state = case.params, np.random.RandomState(case.params["seed"])
    for epoch in ("epoch1", "epoch2"):
        rows = released_identity_blocks(
            case.arrays["ids"], identities=params["p"], per_identity=params["k"], state=state
        )
        np.testing.assert_array_equal(rows.ravel(), case.arrays[epoch], err_msg=epoch)
