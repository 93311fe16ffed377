"""Golden adapters of MCJA: soft ranks, loss, insert, head, networks, augmentations, sampler, schedule, re-ranking."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from adapters_losses import leaf, same, tensor
from adapters_rle import recipe
from runner import Case, adapter
from torch import Tensor

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
