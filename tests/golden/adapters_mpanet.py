"""Golden adapters of MPANet: modality alleviation, losses, the head with its objective, sampler, rates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_losses import MPA_LOSS, GivenMap, leaf, same, tensor
from adapters_networks import MPA, mpa_recipe, shapes_of, whole
from runner import Case, adapter
from torch import Tensor

from vireid.core.fields import BATCH_FIELDS
from vireid.core.types import Batch, Modality, Progress
from vireid.data.samplers.block import released_blocks
from vireid.engine.optim import Adam, WarmupSteps, set_learning_rate
from vireid.interop import released
from vireid.losses.distillation import ModalityMutualLearning
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.masks import CenterCluster, MaskSeparation
from vireid.losses.objective import Objective, Term
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.patterns import PatternHead
from vireid.models.inserts.modality import ModalityAlleviationBlock
from vireid.models.pooling import AveragePool

INFRARED_CAMERAS = (3, 6)


def modality_of(cameras: np.ndarray) -> Tensor:
    return tensor(np.where(np.isin(cameras, INFRARED_CAMERAS), int(Modality.INFRARED), int(Modality.VISIBLE)))


# -- parts -----------------------------------------------------------------------------------------------------------


@adapter("mpa", "mpanet_mam")
def mpanet_mam(case: Case) -> None:
    arrays, params = case.arrays, case.params
    for dtype, tolerance in MPA.items():
        block = ModalityAlleviationBlock(params["dim"], reduction=params["r"])
        weights = {"squeeze.weight": tensor(arrays["w_reduce"]), "excite.weight": tensor(arrays["w_expand"])}
        block.load_state_dict(weights)
        x = leaf(arrays["x"], dtype)
        result = block.to(dtype)(x)
        (result * tensor(arrays["g"], dtype)).sum().backward()
        same(result, arrays["out"], tolerance, f"{dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient of x, {dtype}")
        same(block.squeeze.weight.grad, arrays["grad_w_reduce"], tolerance, f"gradient of the first layer, {dtype}")
        same(block.excite.weight.grad, arrays["grad_w_expand"], tolerance, f"gradient of the second layer, {dtype}")


@adapter("mpa", "mpanet_center_cluster")
def mpanet_center_cluster(case: Case) -> None:
    arrays, labels = case.arrays, tensor(case.arrays["labels"])
    for dtype, tolerance in MPA_LOSS.items():
        x = leaf(arrays["x"], dtype)
        terms = CenterCluster(margin=case.params["margin"])(x, labels)
        total = terms["pull"] + terms["push"]
        total.backward()
        same(total, arrays["loss"], tolerance, f"loss, {dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient, {dtype}")
        for name in ("pull", "push"):
            same(terms[name], arrays[f"term_{name}"], tolerance, f"{name}, {dtype}")


# -- the head and its objective --------------------------------------------------------------------------------------

HEAD = {  # released name -> ours
    "spatial_attention.weight": "masks.weight",
    "spatial_attention.bias": "masks.bias",
    "classifier.weight": "classifier.weight",
    **{f"bn_neck.{kind}": f"neck.{kind}" for kind in ("weight", "bias", "running_mean", "running_var")},
    "bn_neck.num_batches_tracked": "neck.num_batches_tracked",
}
MUTUAL = {
    "visible_classifier.weight": "visible.weight",
    "infrared_classifier.weight": "infrared.weight",
    "visible_classifier_.weight": "visible_copy",
    "infrared_classifier_.weight": "infrared_copy",
}


def mutual_of(weights: Mapping[str, Tensor], params: Mapping, rate: float) -> ModalityMutualLearning:
    """The stateful loss with released classifiers and copies; weight_sid is added twice in the release."""
    classes, width = weights["visible_classifier.weight"].shape
    loss = ModalityMutualLearning(
        update=rate,
        id_weight=2 * params.get("weight_sid", 0.5),
        kl_weight=params.get("weight_KL", 2.5),
        num_ids=classes,
        feature_dim=width,
    )
    given = {ours: weights[released] for released, ours in MUTUAL.items()}
    loss.load_state_dict(given | {"rate": torch.tensor(rate)})
    return loss


def objective_of(net: CrossModalityNet, mutual: ModalityMutualLearning, params: Mapping) -> Objective:
    terms = {
        "id": Term(IdentityCrossEntropy()),
        "triplet": Term(CenterCluster(margin=params.get("margin", 0.7))),
        "separation": Term(MaskSeparation(), weight=params.get("weight_sep", 0.5)),
        "mutual": Term(mutual),
    }
    return Objective(terms, provided=net.provides | set(BATCH_FIELDS))


def batch_of(images: Tensor, arrays: Mapping[str, np.ndarray]) -> Batch:
    cameras = tensor(arrays["cam_ids"])
    zeros = torch.zeros_like(cameras)
    return Batch(images, tensor(arrays["labels"]), modality_of(arrays["cam_ids"]), cameras, zeros, zeros)


def released_net(weights: Mapping[str, Tensor], parts: int, dtype: torch.dtype) -> CrossModalityNet:
    classes, channels = weights["classifier.weight"].shape[0], weights["spatial_attention.weight"].shape[1]
    head = PatternHead(num_parts=parts, num_ids=classes, channels=channels)
    head.load_state_dict({ours: weights[released] for released, ours in HEAD.items()})
    return CrossModalityNet(backbone=GivenMap(channels), pool=AveragePool(), heads={"id": head}).to(dtype)


def recipe_of(case: Case) -> dict[str, Tensor]:
    shapes = {name: tuple(shape) for name, shape in case.params["keys_shapes"].items()}
    return mpa_recipe(shapes, case.params["recipe_seed"])


@adapter("mpa", "mpanet_head_eval")
def mpanet_head_eval(case: Case) -> None:
    for dtype, tolerance in MPA.items():
        net = released_net(recipe_of(case), case.params["num_parts"], dtype).eval()
        with torch.no_grad():
            fields = net(Batch(tensor(case.arrays["fmap"], dtype), *[torch.zeros(8, dtype=torch.long)] * 5)).values
        loose = {"rtol": max(tolerance["rtol"], 1e-6), "atol": max(tolerance["atol"], 1e-7)}  # stored in float32
        same(fields["features_bn"], case.arrays["feat"], loose, f"{dtype}")


def check_terms(logged: Mapping[str, Tensor], arrays: Mapping, mutual: ModalityMutualLearning, tolerance: Mapping):
    named = {"ce": logged["id"], "cc": logged["triplet/pull"] + logged["triplet/push"], "p_reg": logged["separation"]}
    for name, value in named.items():
        same(value, arrays[name], tolerance, name)
    specific = mutual.id_weight * (arrays["ce_v"] + arrays["ce_i"])
    same(logged["mutual/id"], specific, tolerance, "cross-entropies of both modalities")
    same(logged["mutual/kl"], mutual.kl_weight * arrays["KL"], tolerance, "KL")


def check_copies(mutual: ModalityMutualLearning, arrays: Mapping, stride: int, tolerance: Mapping) -> None:
    same(mutual.visible_copy[:, ::stride], arrays["ema_visible_after"], tolerance, "visible copy")
    same(mutual.infrared_copy[:, ::stride], arrays["ema_infrared_after"], tolerance, "infrared copy")


@adapter("mpa", "mpanet_head_train")
def mpanet_head_train(case: Case) -> None:
    """The accuracy that the release logs has no counterpart here."""
    arrays, params, (evaluation,) = case.arrays, case.params, case.needed
    stride, weights = params["col_stride"], recipe_of(evaluation)
    for dtype, tolerance in MPA.items():
        net = released_net(weights, params["num_parts"], dtype).train()
        mutual = mutual_of(weights, params, params["update_rate"])
        objective = objective_of(net, mutual, params).to(dtype)
        images = leaf(arrays["fmap"], dtype)
        batch = batch_of(images, arrays)
        total, logged = objective(batch, net(batch), Progress())
        total.backward()
        same(total, arrays["loss"], tolerance, f"loss, {dtype}")
        check_terms(logged, arrays, mutual, tolerance)
        check_copies(mutual, arrays, stride, tolerance)
        head = net.heads["id"]
        loose = {"rtol": max(tolerance["rtol"], 1e-6), "atol": max(tolerance["atol"], 1e-7)}  # stored in float32
        same(images.grad, arrays["grad_fmap"], loose, f"gradient of the map, {dtype}")
        grads = {
            "grad_visible": mutual.visible.weight.grad[:, ::stride],
            "grad_infrared": mutual.infrared.weight.grad[:, ::stride],
            "grad_classifier": head.classifier.weight.grad[:, ::stride],
            "grad_att_w": head.masks.weight.grad,
            "grad_att_b": head.masks.bias.grad,
            "grad_bn_w": head.neck.weight.grad,
        }
        for name, grad in grads.items():
            same(grad, arrays[name], tolerance, f"{name}, {dtype}")
        same(head.neck.running_mean, arrays["bn_running_mean_after"], tolerance, "running mean")
        same(head.neck.running_var, arrays["bn_running_var_after"], tolerance, "running variance")


@adapter("mpa", "mpanet_head_train_step2")
def mpanet_head_train_step2(case: Case) -> None:
    """The same rows and weights once more, at a later epoch's rate: only the copies have moved."""
    (first,) = case.needed
    (evaluation,) = first.needed
    weights, arrays, params = recipe_of(evaluation), first.arrays, first.params
    for dtype, tolerance in MPA.items():
        net = released_net(weights, params["num_parts"], dtype).train()
        mutual = mutual_of(weights, params, params["update_rate"])
        objective = objective_of(net, mutual, params).to(dtype)
        batch = batch_of(tensor(arrays["fmap"], dtype), arrays)
        for rate in (params["update_rate"], case.params["update_rate"]):
            mutual.rate.fill_(rate)
            total, logged = objective(batch, net(batch), Progress())
        same(total, case.arrays["loss"], tolerance, f"loss, {dtype}")
        same(logged["mutual/kl"], mutual.kl_weight * case.arrays["KL"], tolerance, f"KL, {dtype}")
        check_copies(mutual, case.arrays, params["col_stride"], tolerance)


# -- the whole network -----------------------------------------------------------------------------------------------


def whole_of(case: Case) -> tuple[CrossModalityNet, dict[str, Tensor]]:
    """The network of the shipped config with released weights, and these weights."""
    weights = mpa_recipe(shapes_of("mpanet", case.params["num_classes"]), case.params["recipe_seed"])
    return whole("mpanet", "mpanet", weights, case.params["num_classes"]), weights


@adapter("mpa", "mpanet_model_eval")
def mpanet_model_eval(case: Case) -> None:
    net, arrays = whole_of(case)[0].eval(), case.arrays
    labels = torch.zeros(len(arrays["image"]), dtype=torch.long)
    stored = {"backbone_map": "feature_map", "feat": "features_bn"}
    for dtype in (torch.float64, torch.float32):
        net.to(dtype)
        with torch.no_grad():
            batch = Batch(tensor(arrays["image"], dtype), *[labels] * 5)
            fields, described = net(batch).values, net.embed(batch)
        for name, field in stored.items():
            largest = float(np.abs(arrays[name]).max())
            close = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-3 * largest}
            same(fields[field], arrays[name], close, f"{name}, {dtype}")
        feat = arrays["feat"].astype(np.float64)
        unit = feat / np.linalg.norm(feat, axis=1, keepdims=True)
        same(described, unit, {"rtol": 1e-3, "atol": 1e-5}, f"describe, {dtype}")


@adapter("mpa", "mpanet_model_train")
def mpanet_model_train(case: Case) -> None:
    """The case gives no weights of terms: those of the release."""
    net, weights = whole_of(case)
    mutual, arrays, close = mutual_of(weights, case.params, 0.2), case.arrays, {"rtol": 1e-4, "atol": 1e-9}
    objective = objective_of(net, mutual, case.params).double()
    images = leaf(arrays["image"], torch.float64)
    batch = batch_of(images, arrays)
    total, logged = objective(batch, net.train()(batch), Progress())
    total.backward()
    same(total, arrays["loss"], close, "loss")
    check_terms(logged, arrays, mutual, close)
    grads = released.to_released("mpanet", {name: p.grad for name, p in net.named_parameters() if p.grad is not None})
    found = {
        "grad_image": images.grad,
        "grad_mam3_reduce": grads["backbone.MAM3.channel_attention.0.weight"],
        "grad_conv1": grads["backbone.conv1.weight"],
    }
    for name, grad in found.items():
        stored = arrays[name].astype(np.float64)
        assert grad is not None
        ours = grad.numpy()[tuple(map(slice, stored.shape))]  # of some the first rows and columns are stored
        cosine = (ours * stored).sum() / np.linalg.norm(ours) / np.linalg.norm(stored)
        assert cosine > 0.9999, f"{name}: {cosine}"
        np.testing.assert_allclose(np.linalg.norm(ours), np.linalg.norm(stored), rtol=1e-3, err_msg=name)


# -- rates and sampler -----------------------------------------------------------------------------------------------


@adapter("mpa", "mpanet_schedules")
def mpanet_schedules(case: Case) -> None:
    mutual = ModalityMutualLearning(num_ids=2, feature_dim=2)
    rates = [mutual.rate_in(epoch + 1) for epoch in range(len(case.arrays["update_rate"]))]
    np.testing.assert_allclose(rates, case.arrays["update_rate"], rtol=1e-12, atol=0)
    for name, drops in {"lr_sysu": (80, 120), "lr_regdb": (110,)}.items():
        optimizer, schedule = Adam([torch.zeros(1, requires_grad=True)]), WarmupSteps(warmup=0, drops=drops)
        ours = [set_learning_rate(optimizer, schedule(epoch)) for epoch in range(len(case.arrays[name]))]
        np.testing.assert_allclose(ours, case.arrays[name], rtol=1e-12, atol=0)


@adapter("mpa", "mpanet_sampler_random_identity", "mpanet_sampler_random_identity_resample")
def mpanet_sampler(case: Case) -> None:
    """The length that the release reports before its first epoch is an estimate and has no counterpart here."""
    arrays, params = case.arrays, case.params
    state = np.random.RandomState(params["seed"])
    infrared = np.isin(arrays["cam_ids"], INFRARED_CAMERAS)
    for epoch in ("epoch1", "epoch2"):
        drawn = released_blocks(arrays["ids"], infrared, identities=params["p"], rows=params["k"], state=state)
        np.testing.assert_array_equal(drawn.ravel(), arrays[epoch])
        assert drawn.shape[1:] == (params["p"] * params["k"],)
    assert drawn.size == arrays["len_after"]
