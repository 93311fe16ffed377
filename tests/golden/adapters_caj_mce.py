"""Golden adapters of CAJ and MCE: their losses, memories and whole networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from adapters_losses import AGW_LOSS, check_agw_loss, leaf, same, tensor, two_modalities
from adapters_networks import mpa_recipe, rows, whole
from runner import Case, adapter
from torch import Tensor, nn

from vireid.core.types import EmbeddingTable, Progress
from vireid.interop import released
from vireid.layers.norms import l2_normalize
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.memory import Bank, ConsistencyMemory
from vireid.losses.soft_targets import SoftTargets
from vireid.losses.triplet import EnhancedSquaredTriplet
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.identity import IdentityHead
from vireid.models.heads.neck import NeckHead


@adapter("agw", "loss_adp")
def loss_adp(case: Case) -> None:
    """The number of right anchors that the release logs has no counterpart here."""
    numbers = {"alpha": case.params["alpha"], "gamma": case.params["gamma"], "square": bool(case.params["square"])}
    check_agw_loss(case, EnhancedSquaredTriplet(released_eps=True, **numbers))


def check_soft_targets(case: Case, loss: nn.Module) -> None:
    """Students are the visible rows, their teachers the infrared ones of the same places."""
    student, teacher = (leaf(case.arrays[name], torch.float64) for name in ("in_x", "in_t"))
    rows = len(student)
    pairs, view = torch.arange(rows).repeat(2), torch.zeros(2 * rows, dtype=torch.long)
    logits = torch.cat([student, teacher])
    value = loss(logits, pairs, two_modalities(2 * rows), view, torch.arange(2 * rows))
    value.backward()
    same(value, case.arrays["out_loss"], AGW_LOSS[torch.float64], "loss")
    same(student.grad, case.arrays["grad_x"], AGW_LOSS[torch.float64], "gradient")
    assert not tensor(teacher.grad).any()


@adapter("agw", "loss_kl")
def loss_kl(case: Case) -> None:
    check_soft_targets(case, SoftTargets(form="divergence", temperature=case.params["T"]))


@adapter("agw", "loss_corefine")
def loss_corefine(case: Case) -> None:
    check_soft_targets(case, SoftTargets(form="cross_entropy"))


# -- MCE -------------------------------------------------------------------------------------------------------------

MEMORY = {torch.float64: {"rtol": 2e-6, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}
EXACT = {torch.float64: {"rtol": 1e-6, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


@adapter("mpa", "mce_memory")
def mce_memory(case: Case) -> None:
    """Two steps: the loss with the table as it was, then the table. Ours moves after the loss, in the forward pass."""
    arrays, params = case.arrays, case.params
    labels = tensor(arrays["labels"])
    every = torch.ones(len(labels), dtype=torch.bool)
    for dtype, tolerance in MEMORY.items():
        bank = Bank(
            *arrays["memory_before"].shape, momentum=float(np.float32(params["momentum"])), hard=params["use_hard"]
        ).to(dtype)
        bank.fill(tensor(arrays["memory_before"], dtype))
        for step, (given_rows, loss, grad) in enumerate((("x", "loss", "grad_x"), ("x2", "loss2", "grad_x2")), start=1):
            given = leaf(arrays[given_rows], dtype)
            unit = l2_normalize(given)
            scores = bank.scores(unit) / params["temp"]
            bank.update(unit.detach(), labels, every)
            value = F.cross_entropy(scores, labels)
            value.backward()
            same(value, arrays[loss], tolerance, f"{loss}, {dtype}")
            same(given.grad, arrays[grad], tolerance, f"{grad}, {dtype}")
            same(bank.features, arrays[f"memory_after_step{step}"], tolerance, f"table after step {step}, {dtype}")
            if step == 1:
                same(scores, arrays["logits"], tolerance, f"scores, {dtype}")
        same(bank.centers, arrays["memory_before"], tolerance, "frozen table")


def memory_of(width: int, classes: int, **arguments: object) -> ConsistencyMemory:
    return ConsistencyMemory(num_ids=classes, feature_dim=width, **arguments)


@adapter("mpa", "mce_global_center")
def mce_global_center(case: Case) -> None:
    """The number of right anchors that the release logs has no counterpart here."""
    arrays, labels = case.arrays, tensor(case.arrays["labels"])
    classes, width = arrays["centers"].shape
    every = torch.ones(len(labels), dtype=torch.bool)
    for dtype, tolerance in EXACT.items():
        loss = memory_of(width, classes, margin=case.params["margin"]).to(dtype)
        loss.joint.fill(tensor(arrays["centers"], dtype))
        x = leaf(arrays["x"], dtype)
        value = loss.center(x, labels, every)
        value.backward()
        same(value, arrays["loss"], tolerance, f"loss, {dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient, {dtype}")


class Tables:
    """The descriptors of a training set: of its images, and of the auxiliary copies of the visible ones."""

    progress = Progress()
    samples = ()

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays

    def training_features(self, view: int = 0) -> EmbeddingTable:
        given = self.arrays
        if view:
            rows, labels, infrared = given["feat_a"], given["labels_v"], 0
        else:
            rows = np.concatenate([given["feat_v"], given["feat_i"]])
            labels, infrared = np.concatenate([given["labels_v"], given["labels_i"]]), len(given["feat_i"])
        modality = (np.arange(len(rows)) >= len(rows) - infrared).astype(np.int64)
        return EmbeddingTable(rows, labels, np.zeros_like(labels), modality)


@adapter("mpa", "mce_memory_init")
def mce_memory_init(case: Case) -> None:
    arrays, classes = case.arrays, case.params["n_class"]
    for dtype, tolerance in EXACT.items():
        loss = memory_of(arrays["feat_v"].shape[1], classes, auxiliary=1 if case.params["channel"] == 3 else 0).to(
            dtype
        )
        loss.start_epoch(Tables(arrays))
        banks = {"global": loss.joint, "rgb": loss.banks["visible"], "ir": loss.banks["infrared"]}
        if "mem_aux" in arrays:
            banks["aux"] = loss.banks["auxiliary"]
        for name, bank in banks.items():
            same(bank.features, arrays[f"mem_{name}"], tolerance, f"{name}, {dtype}")
            assert torch.equal(bank.features, bank.centers)
    assert (loss.joint.momentum, loss.joint.hard) == (arrays["global_momentum"], bool(arrays["global_hard"]))
    momenta = {(bank.momentum, bank.hard) for bank in loss.banks.values()}
    assert momenta == {(float(arrays["modality_momentum"]), bool(arrays["modality_hard"]))}


STREAMS = {"visible": "rgb", "infrared": "ir", "auxiliary": "aux"}


def released_memory(case: Case, dtype: torch.dtype) -> ConsistencyMemory:
    """The tables that the case gives; the frozen joint one is the mean of the others' frozen ones."""
    params, arrays = case.params, case.arrays
    loss = memory_of(
        2048,
        params["num_classes"],
        temperature=params["temp"],
        center_weight=params["global_center"],
        identity_weight=params["weight_sid"],
        auxiliary_weight=params["weight_caid"],
        kl_weight=params["weight_KL"],
        align="running" if params["gx"] else "frozen",
        auxiliary=1 if params["channel"] == 3 else 0,
    ).to(dtype)
    for name, bank in loss.banks.items():
        bank.features.copy_(tensor(arrays[f"{STREAMS[name]}_features"], dtype))
        bank.centers.copy_(tensor(arrays[f"{STREAMS[name]}_centers"], dtype))
    loss.joint.centers.copy_(torch.stack([bank.centers for bank in loss.banks.values()]).mean(dim=0))
    loss.joint.features.copy_(tensor(arrays["global_features"], dtype))
    return loss


@adapter("mpa", "mce_head_default", "mce_head_gx", "mce_head_two_stream")
def mce_head(case: Case) -> None:
    """Neck, objective and memories; the pooled rows are those of as many streams as the case has, one after another."""
    params, arrays = case.params, case.arrays
    streams, rows = params["channel"], len(arrays["x"]) // params["channel"]
    labels, place = tensor(arrays["labels"]), torch.arange(rows).repeat(streams)
    modality = torch.tensor([0, 1, 0])[:streams].repeat_interleave(rows)
    view = torch.tensor([0, 0, 1])[:streams].repeat_interleave(rows)
    weights = mpa_recipe(params["keys_shapes"], params["recipe_seed"])
    classifier = params["classification"]
    for dtype, tolerance in MEMORY.items():
        head = IdentityHead(num_ids=params["num_classes"], channels=2048) if classifier else NeckHead(channels=2048)
        head.load_state_dict({name.replace("bn_neck.", "neck."): value for name, value in weights.items()})
        head.to(dtype).train()
        loss, x = released_memory(case, dtype), leaf(arrays["x"], dtype)
        fields = head(x)
        terms = loss(fields["features_bn"], labels, modality, view, place)
        if classifier:
            terms["id"] = IdentityCrossEntropy()(fields["logits"], labels)
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        check_terms(case, terms, total, tolerance)
        grads = {"grad_x": x.grad, "grad_bn_w": head.neck.weight.grad}
        for name, grad in grads.items():
            largest = float(np.abs(arrays[name]).max())
            same(grad, arrays[name], {"rtol": tolerance["rtol"], "atol": tolerance["rtol"] * largest}, name)
        for name, bank in {"global": loss.joint, **{STREAMS[n]: b for n, b in loss.banks.items()}}.items():
            if f"{name}_after" in arrays:
                same(bank.features[:, ::8], arrays[f"{name}_after"], tolerance, f"{name} after, {dtype}")


def check_terms(case: Case, terms: Mapping[str, Tensor], total: Tensor, tolerance: Mapping[str, float]) -> None:
    """Ours carry their weights, the release logs them without. Its `sid` is not one of the terms by itself."""
    params = case.params
    logged = {"GC": ("center", params["global_center"]), "MEM": ("memory", 1), "KL": ("kl", params["weight_KL"])}
    logged |= {"CE": ("id", 1), "vid": ("visible", params["weight_sid"]), "iid": ("infrared", params["weight_sid"])}
    for name, (term, weight) in logged.items():
        if f"loss_{name}" in case.arrays:
            same(terms[term] / weight, case.arrays[f"loss_{name}"], tolerance, name)
    same(total, case.arrays["loss"], tolerance, "total")


# -- the whole network -----------------------------------------------------------------------------------------------


def mce_network(case: Case) -> CrossModalityNet:
    """The recipe runs over a model without memories and without a classifier."""
    names = {key.name: key.shape for key in released.release("mce").keys}
    names = {name: shape for name, shape in names.items() if not name.startswith(("memory", "classifier"))}
    return whole("mce", "mce", mpa_recipe(names, case.params["recipe_seed"]), case.params["num_classes"])


@adapter("mpa", "mce_model_eval")
def mce_model_eval(case: Case) -> None:
    net, images = mce_network(case).eval(), case.arrays["image"]
    exact = {"rtol": 1e-5, "atol": 1e-8}
    with torch.no_grad():
        for batch in (rows(images, None), rows(None, images)):  # one stream: the modality changes nothing
            same(net(batch).values["features"], case.arrays["pooled"], exact, "pooled")
            same(net.embed(batch), case.arrays["feat"], exact, "descriptor")
        single = net.float().embed(batch.with_images(batch.images.float()))
    assert float((single * tensor(case.arrays["feat"])).sum(dim=1).min()) > 0.99999


@adapter("mpa", "mce_model_train")
def mce_model_train(case: Case) -> None:
    net, arrays = mce_network(case).train(), case.arrays
    batch = rows(arrays["image"], None)
    batch.images.retain_grad()
    out = net(batch).values
    pooled, bn = out["features"], out["features_bn"]
    (pooled.square().mean() + 0.5 * bn.square().mean() + bn.abs().mean()).backward()
    exact = {"rtol": 1e-4, "atol": 1e-7}
    same(pooled, arrays["pooled"], exact, "pooled")
    same(bn, arrays["bn"], exact, "bn")
    largest = float(np.abs(arrays["grad_image"]).max())
    same(batch.images.grad, arrays["grad_image"], {"rtol": 1e-4, "atol": 1e-4 * largest}, "gradient of the images")
    exponent = net.pool.log_p  # a logarithm here: d/dp = d/dlog p / p
    same(exponent.grad / exponent.detach().exp(), arrays["grad_gem_p"], exact, "gradient of the exponent")
