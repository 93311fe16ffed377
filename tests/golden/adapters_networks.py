"""Golden adapters of whole networks: AGW and its baseline, and MCLNet, whose network is AGW's.

Weights come from the recipe that the index gives, under the released names, and go through the importer of released
checkpoints into the network that the shipped config describes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_losses import leaf, same, tensor
from runner import Case, adapter
from torch import Tensor

import vireid
from vireid.core.fields import BATCH_FIELDS
from vireid.core.types import Batch, Modality, ModelOutput, Progress
from vireid.interop import released
from vireid.layers.norms import l2_normalize
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.objective import Objective, Term
from vireid.losses.triplet import BatchHardTriplet, WeightedRegularizedTriplet
from vireid.models.cross_modality_net import CrossModalityNet

MPA = {torch.float64: {"rtol": 1e-6, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}

WHOLE = {"agw": "agw", "agw_base": "baseline"}
TRIPLET = {"agw": WeightedRegularizedTriplet(released_eps=True), "agw_base": BatchHardTriplet(margin=0.3)}


def shapes_of(model: str, classes: int) -> dict[str, tuple[int, ...]]:
    found = released.release(model)
    factors = {found.num_ids: 1, 2 * found.num_ids: 2}  # axes of the key list that count identities
    shapes = {key.name: key.shape for key in found.keys}
    return {
        name: tuple(factors[size] * classes if size in factors else size for size in shape)
        for name, shape in shapes.items()
    }


def agw_recipe(model: str, classes: int, seed: int) -> dict[str, Tensor]:
    """Every tensor from a generator of its own; the index of `golden_agw.json` gives the rules."""
    weights, used = {}, {key.name for key in released.release(model).keys if key.used}
    for i, (name, shape) in enumerate(sorted(shapes_of(model, classes).items())):
        if name in used:
            weights[name] = tensor(_agw_values(name, shape, np.random.default_rng([seed, i])))
    return weights


def _agw_values(name: str, shape: tuple[int, ...], g: np.random.Generator) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        return (0.5 + g.random(shape)).astype(np.float32)
    z = g.standard_normal(shape)
    layer, _, last = name.rpartition(".")
    if last == "gate":
        return (0.5 * z).astype(np.float32)
    if last in ("a", "W"):  # graph attention
        return (z / np.sqrt(shape[0])).astype(np.float32)
    if name.endswith("running_mean") or (len(shape) == 1 and name.endswith("bias")):
        return (0.1 * z).astype(np.float32)
    if len(shape) == 1:
        small = 0.2 if name.endswith(("bn3.weight", "W.1.weight")) else 1.0
        return (small * (1 + 0.1 * z)).astype(np.float32)
    aggregation = ("CNL." in name or "PNL." in name) and layer.endswith((".g", ".theta", ".phi"))
    return ((0.3 if aggregation else 1.0) * (z / np.sqrt(np.prod(shape[1:])))).astype(np.float32)


def whole(model: str, config: str, weights: Mapping[str, Tensor], classes: int) -> CrossModalityNet:
    """The network that the shipped config describes, with released weights, in float64."""
    net = vireid.create_model(config, num_ids=classes)
    net.load_state_dict(released.to_ours(model, weights), strict=True)
    return net.double()


def rows(visible: np.ndarray | None, infrared: np.ndarray | None, labels: np.ndarray | None = None) -> Batch:
    """Images in float64 that ask for gradients; visible first."""
    given = {Modality.VISIBLE: visible, Modality.INFRARED: infrared}
    images = [leaf(each, torch.float64) for each in given.values() if each is not None]
    modality = torch.cat([torch.full((len(v),), int(m)) for m, v in given.items() if v is not None])
    zeros = torch.zeros_like(modality)
    both = zeros if labels is None else tensor(np.concatenate([labels, labels]))
    return Batch(torch.cat(images), both, modality, zeros, zeros, zeros)


def statistics(value: Tensor) -> np.ndarray:
    return np.array([float(value.mean()), float(value.std()), float(value.abs().max())])


def tap(net: CrossModalityNet, taken: dict[str, np.ndarray]) -> None:
    """Note what each block of the shared stages puts out, under the release's names."""
    for stage in range(1, 5):
        number = 0
        for key, module in net.backbone.shared.get_submodule(f"stage{stage}").named_children():
            block, _, insert = key.partition("_")
            name = f"NL_{stage}_{number}" if insert else f"layer{stage}_{block}"
            number += bool(insert)
            module.register_forward_hook(lambda m, i, out, name=name: taken.update({name: statistics(out)}))


def check_taps(case: Case, taken: Mapping[str, np.ndarray]) -> None:
    """Mean, deviation and largest entry of what each stored layer put out for visible images."""
    stored = {key.removeprefix("tap_vis_").removesuffix("_mean_std_absmax"): v for key, v in case.arrays.items()}
    stored = {name: value for name, value in stored.items() if f"tap_vis_{name}_mean_std_absmax" in case.arrays}
    assert set(stored) <= set(taken)
    for name, value in stored.items():
        np.testing.assert_allclose(taken[name], value, rtol=1e-7, err_msg=name)


def check_whole_eval(case: Case, model: str) -> None:
    classes = case.params["n_class"]
    net = whole(model, WHOLE[model], agw_recipe(model, classes, case.params["weight_seed"]), classes).eval()
    taken: dict[str, np.ndarray] = {}
    tap(net, taken)
    exact = {"rtol": 1e-8, "atol": 1e-11}
    with torch.no_grad():
        visible, infrared = case.arrays["in_visible"], case.arrays["in_infrared"]
        for short, batch in {"ir": rows(None, infrared), "vis": rows(visible, None)}.items():
            same(
                l2_normalize(net(batch).values["features"]), case.arrays[f"out_{short}_feat0"], exact, f"{short} pooled"
            )
            same(net.embed(batch), case.arrays[f"out_{short}_feat1"], exact, f"{short} after the neck")
        check_taps(case, taken)
        net.float()
        batch = rows(visible, None)
        single = net.embed(batch.with_images(batch.images.float()))
        same(single, case.arrays["out_vis_feat1"], {"rtol": 0, "atol": 1e-4}, "float32")


def check_whole_train(case: Case, model: str) -> None:
    classes, arrays = case.params["n_class"], case.arrays
    net = whole(model, WHOLE[model], agw_recipe(model, classes, case.params["weight_seed"]), classes).train()
    batch = rows(arrays["in_visible"], arrays["in_infrared"], arrays["in_label_per_modality"])
    batch.images.retain_grad()
    out = net(batch)
    terms = {"id": Term(IdentityCrossEntropy()), "tri": Term(TRIPLET[model])}
    total, logged = Objective(terms, provided=net.provides | set(BATCH_FIELDS))(batch, out, Progress())
    total.backward()
    same(out.values["features"], arrays["out_feat"], STEP, "features")
    same(out.values["logits"], arrays["out_logits"], STEP, "logits")
    for name, value in {"loss": total, "loss_id": logged["id"], "loss_tri": logged["tri"]}.items():
        same(value, arrays[f"out_{name}"], STEP, name)
    check_step(case, model, net, batch)


STEP = {"rtol": 1e-6, "atol": 1e-9}  # the index: 1e-6 relative in float64


def check_step(
    case: Case, model: str, net: CrossModalityNet, batch: Batch, more: Mapping[str, Tensor] | None = None
) -> None:
    """After a backward pass: gradients of images and of every parameter, and the running statistics.

    `more`: gradients of what ours has outside the network, under the released names.
    """
    arrays = case.arrays
    assert batch.images.grad is not None
    for name, grad in zip(("visible", "infrared"), batch.images.grad.chunk(2), strict=True):
        same(grad[:, :, ::4, ::4], arrays[f"grad_in_{name}"], STEP, f"gradient of {name} images")
    grads = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}
    ours = {**released.to_released(model, grads), **(more or {})}
    norms = {str(name): norm for name, norm in zip(arrays["grad_names"], arrays["grad_norms"], strict=True)}
    for name in set(norms) - set(ours) - {"bottleneck.bias"}:
        assert norms[name] < 1e-9, f"{name} has an effect in the release"  # and none of ours, which it went without
    assert set(ours) <= set(norms)
    for name, grad in ours.items():
        # a bias before a batch normalisation has no gradient but rounding
        np.testing.assert_allclose(float(grad.norm()), norms[name], rtol=1e-6, atol=1e-9, err_msg=name)
    same(ours["bottleneck.weight"], arrays["grad_bottleneck_weight"], STEP, "neck")
    for short, stem in (("vis", "visible_module.visible"), ("ir", "thermal_module.thermal")):
        same(ours[f"{stem}.conv1.weight"], arrays[f"grad_{short}_conv1"], STEP, f"{short} conv1")
    state = released.to_released(model, net.state_dict())
    same(state["bottleneck.running_mean"], arrays["buf_bottleneck_running_mean"], STEP, "neck after a step")
    stem_mean = state["visible_module.visible.bn1.running_mean"]
    same(stem_mean, arrays["buf_vis_bn1_running_mean"], STEP, "stem after a step")


for _model in WHOLE:
    adapter("agw", f"full_{_model}_eval")(lambda case, model=_model: check_whole_eval(case, model))
    adapter("agw", f"full_{_model}_train")(lambda case, model=_model: check_whole_train(case, model))


# -- MCLNet: AGW's network with a recipe of its own ------------------------------------------------------------------


def mpa_recipe(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """One generator for all tensors in the order of their names; the index of `golden_mpa.json` gives the rules."""
    g = np.random.default_rng(seed)
    return {name: tensor(_mpa_values(name, tuple(shape), g)) for name, shape in sorted(shapes.items())}


def _mpa_values(name: str, shape: tuple[int, ...], g: np.random.Generator) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = g.standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.1 * z
    elif name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(z)
    elif len(shape) >= 3:
        value = z * np.sqrt(2 / np.prod(shape[1:])) * (0.3 if ".NL_" in f".{name}" else 1.0)
    elif len(shape) == 2:
        value = z / np.sqrt(shape[1])
    elif name.endswith(".p") and shape == (1,):
        value = 3 + 0.1 * z
    elif name.endswith("bn3.weight"):
        value = 0.25 * (1 + 0.1 * z)
    elif name.endswith("weight"):
        value = 1 + 0.1 * z
    else:
        value = 0.1 * z
    return value.astype(np.float32)


def mclnet(case: Case) -> CrossModalityNet:
    """MCLNet's key list is AGW's, name by name."""
    classes = case.params["num_classes"]
    return whole("mclnet", "mclnet", mpa_recipe(shapes_of("mclnet", classes), case.params["recipe_seed"]), classes)


@adapter("mpa", "mclnet_model_eval")
def mclnet_model_eval(case: Case) -> None:
    net, arrays = mclnet(case).eval(), case.arrays
    batches = [
        rows(arrays["img_v"], arrays["img_t"]),
        rows(arrays["img_v"], None),
        rows(None, arrays["img_t"]),
    ]
    with torch.no_grad():
        for modal, batch in enumerate(batches):
            exact = {"rtol": 1e-5, "atol": 1e-8}
            same(l2_normalize(net(batch).values["features"]), arrays[f"pool_{modal}"], exact, f"pooled, {modal}")
            same(net.embed(batch), arrays[f"bn_{modal}"], exact, f"after the neck, {modal}")


@adapter("mpa", "mclnet_model_train")
def mclnet_model_train(case: Case) -> None:
    net, arrays = mclnet(case).train(), case.arrays
    batch = rows(arrays["img_v"], arrays["img_t"])
    batch.images.retain_grad()
    out: ModelOutput = net(batch)
    pool, logits, bn = (out.values[name] for name in ("features", "logits", "features_bn"))
    (logits.logsumexp(1).mean() + pool.square().mean() + 0.5 * bn.square().mean()).backward()
    exact = {"rtol": 1e-4, "atol": 1e-7}
    for name, value in {"pool": pool, "logits": logits, "bn": bn}.items():
        same(value, arrays[name], exact, name)
    assert batch.images.grad is not None
    for name, grad in zip(("grad_v", "grad_t"), batch.images.grad.chunk(2), strict=True):
        same(grad, arrays[name], {"rtol": 1e-4, "atol": 1e-4 * np.abs(arrays[name]).max()}, name)
