"""Golden adapters of PMT's network, parameter groups and training steps.

The network is that of the shipped config at the size of the case. Weights come from the recipe that the index gives,
and are placed by the rules for released checkpoints.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from unittest import mock

import numpy as np
import timm
import torch
from adapters_losses import leaf, same, tensor
from adapters_pmt import modality_of, shuffled, terms_of
from runner import Case, adapter
from torch import Tensor, nn

import vireid
from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core.types import Batch, Progress
from vireid.engine.optim import AdamW, SharedFloorCosine, apply_schedule, parameter_groups
from vireid.interop.released.layout import layout_of
from vireid.losses.objective import Objective
from vireid.models.backbones.timm_vit import grid_of, resample_positions
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.zoo.models import config_path

EXACT = {"rtol": 1e-6, "atol": 1e-9}
RELATIVE = {"rtol": 1e-6, "atol": 1e-12}
CONFIG = "sysu/pmt"


def our_name(name: str) -> str:
    place = layout_of("pmt").place(name)
    assert place is not None
    return place.name


def recipe(shapes: Mapping[str, list[int]], seed: int) -> dict[str, Tensor]:
    """Released names to weights, from one generator in the order of the names."""
    generator = np.random.default_rng(seed)
    return {name: tensor(_values(name, shape, generator)) for name, shape in sorted(shapes.items())}


def _values(name: str, shape: list[int], generator: np.random.Generator) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = generator.standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.1 * z
    elif name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(z)
    elif name.endswith(("cls_token", "pos_embed")):
        value = 0.2 * z
    elif len(shape) >= 3:
        value = z * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        value = z / np.sqrt(shape[1])
    elif name.endswith("weight"):
        value = 1 + 0.1 * z
    else:
        value = 0.1 * z
    return np.asarray(value, np.float32)


def network(params: Mapping, *, weights: bool = True) -> CrossModalityNet:
    """The network of the shipped config in float64, with the width, depth and size of the case."""
    overrides = {
        "SIZE": [params["height"], params["width"]],
        "MODEL.BACKBONE.STRIDE": list(params["stride"]),
        "MODEL.BACKBONE.DROP_PATH": params.get("drop_path", 0.0),
        "MODEL.BACKBONE.POS_DROP": params.get("dropout", 0.0),
        "MODEL.BACKBONE.PROJ_DROP": params.get("dropout", 0.0),
    }
    small = {"embed_dim": params["embed"], "depth": params["depth"], "num_heads": params["heads"]}
    small |= {"patch_size": params["patch"]}
    with mock.patch.object(timm, "create_model", functools.partial(timm.create_model, **small)):
        net = vireid.create_model(CONFIG, num_ids=params["num_classes"], overrides=overrides)
    if weights:
        released = recipe(params["keys_shapes"], params["recipe_seed"])
        given = {name: torch.tensor(values) for name, values in layout_of("pmt").given.items()}
        net.load_state_dict({our_name(name): value for name, value in released.items()} | given, strict=True)
    return net.double()


def batch_of(images: Tensor, labels: np.ndarray | None = None) -> Batch:
    """Visible images first, as many of each modality."""
    zeros = torch.zeros(len(images), dtype=torch.int64)
    return Batch(images, zeros if labels is None else tensor(labels), modality_of(len(images)), zeros, zeros, zeros)


@adapter("pmt", "pmt_grid")
def pmt_grid(case: Case) -> None:
    columns = case.params["columns"]
    for values in case.arrays["table"].tolist():
        row = dict(zip(columns, values, strict=True))
        proj = nn.Conv2d(3, 1, row["patch"], stride=row["stride"])
        size = (row["height"], row["width"])
        assert grid_of(size, proj) == (row["rows"], row["columns"])
        assert tuple(proj(torch.zeros(1, 3, *size)).shape[2:]) == (row["rows"], row["columns"])


@adapter("pmt", "pmt_pos_embed")
def pmt_pos_embed(case: Case) -> None:
    params, positions = case.params, leaf(case.arrays["pos_embed"], torch.float64)
    side = round((positions.shape[1] - params["prefix"]) ** 0.5)
    new = params["height"], params["width"]
    resampled = resample_positions(positions, (side, side), new, params["prefix"], "bilinear")
    (resampled * tensor(case.arrays["upstream"])).sum().backward()
    same(resampled, case.arrays["out"], EXACT, "positions")
    same(positions.grad, case.arrays["grad_pos_embed"], EXACT, "gradient of the positions")


@adapter("pmt", "pmt_net_eval")
def pmt_net_eval(case: Case) -> None:
    net, images = network(case.params).eval(), tensor(case.arrays["images"], torch.float64)
    assert list(net.backbone.grid) == case.params["grid"]
    assert {module.eps for module in net.modules() if isinstance(module, nn.LayerNorm)} == {case.params["norm_eps"]}
    order = shuffled(len(images))
    with torch.no_grad():
        embed = net.backbone.shared.embed
        tokens = embed.norm(embed.proj(images[:1]).flatten(2).transpose(1, 2))
        batch = batch_of(images).select(order)
        class_token, embeddings = net(batch).values["features"], net.embed(batch)
    same(tokens, case.arrays["tokens"], EXACT, "patch tokens")
    same(class_token, case.arrays["class_token"][order], EXACT, "class token")
    same(embeddings, case.arrays["descriptor"][order], EXACT, "embeddings")


def objective_of(net: CrossModalityNet, params: Mapping) -> Objective:
    terms = terms_of({**params, "method": "PMT"})
    return Objective(terms, provided=[*net.provides, "labels", "modality"])


@adapter("pmt", "pmt_net_train")
def pmt_net_train(case: Case) -> None:
    params, arrays = case.params, case.arrays
    net, images = network(params).train(), leaf(arrays["images"], torch.float64)
    order = shuffled(len(images))
    batch = batch_of(images, arrays["labels"]).select(order)
    out, epoch = net(batch), params["epoch"] - 1
    total, logged = objective_of(net, params)(batch, out, Progress(epoch=epoch))
    total.backward()
    for name in ("logits", "features"):
        same(out.values[name], arrays[name][order.numpy()], EXACT, name)
    same(total, arrays["loss"], EXACT, "loss")
    stage = "intra" if params["epoch"] <= params["pl_epoch"] else "triplet"
    ours = {**logged, "id": 2 * logged["id"], "triplet": logged[stage]}
    for name in (key.removeprefix("term_") for key in arrays if key.startswith("term_")):
        same(ours[name], arrays[f"term_{name}"], EXACT, name)
    state = net.state_dict()
    for name in ("running_mean", "running_var"):
        same(state[our_name(f"bottleneck.{name}")], arrays[name], EXACT, name)
    assert images.grad is not None
    same(images.grad[:1], arrays["grad_image0"], EXACT, "gradient of the first image")
    check_parameters(case, {name: parameter.grad for name, parameter in net.named_parameters()}, "grad")


def check_parameters(case: Case, ours: Mapping[str, Tensor | None], kind: str, prefix: str = "grad.") -> None:
    """Norms of every tensor that the case lists, and the values of those that it stores, by released name."""
    arrays, names = case.arrays, [str(name) for name in case.arrays[f"{kind}_names"]]
    for name, norm in zip(names, arrays[f"{kind}_norms"], strict=True):
        value = ours[our_name(name)]
        assert value is not None, name
        np.testing.assert_allclose(float(value.norm()), norm, err_msg=name, **EXACT)
    for key in arrays:
        if key.startswith(prefix):
            same(ours[our_name(key.removeprefix(prefix))], arrays[key], EXACT, key)


@adapter("pmt", "pmt_groups")
def pmt_groups(case: Case) -> None:
    """The parameter groups of the shipped config, for a network of these parameters."""
    params, names = case.params, [str(name) for name in case.arrays["names"]]
    depth = len({name.split(".")[2] for name in names if name.startswith("base.blocks.")})
    size = {"height": 32, "width": 32, "stride": (16, 16), "embed": 8, "heads": 1, "patch": 16, "num_classes": 2}
    net = network({**size, "depth": depth}, weights=False)
    scales = Build(load_checked(config_path(CONFIG), {})).lr_scale()
    scales = {path: params["lr_pretrain"] if path == "backbone" else scale for path, scale in scales.items()}
    groups = parameter_groups(net, nn.Identity(), scales)
    optimizer = AdamW(groups, lr=params["base_lr"], weight_decay=params["weight_decay"])
    apply_schedule(optimizer, lambda epoch: 1.0, 0)
    of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    trained = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert set(trained) == {our_name(name) for name in names}
    found = [of[id(trained[our_name(name)])] for name in names]
    np.testing.assert_allclose([group["lr"] for group in found], case.arrays["lr"], **RELATIVE)
    np.testing.assert_allclose([group["weight_decay"] for group in found], case.arrays["weight_decay"], **RELATIVE)


@adapter("pmt", "pmt_train_steps")
def pmt_train_steps(case: Case) -> None:
    """Steps of AdamW on both sides of the change from gray to color images, with the groups of the shipped config."""
    params, arrays = case.params, case.arrays
    net = network(params).train()
    objective = objective_of(net, params)
    scales = Build(load_checked(config_path(CONFIG), {})).lr_scale()
    scales = {path: params["lr_pretrain"] if path == "backbone" else scale for path, scale in scales.items()}
    groups = parameter_groups(net, objective, scales)
    optimizer = AdamW(groups, lr=params["base_lr"], weight_decay=params["weight_decay"])
    shares = {"start": params["lr_init"], "floor": params["lr_min"]}
    schedule = SharedFloorCosine(warmup=params["warmup"], epochs=params["max_epoch"], **shares)
    images = tensor(arrays["images"], torch.float64)
    batch = batch_of(images, arrays["labels"]).select(shuffled(len(images)))
    for number, epoch in enumerate(params["epochs"]):
        progress = Progress(epoch=epoch - params["epoch_base"])
        apply_schedule(optimizer, schedule, progress.epoch)
        rates = sorted(group["lr"] for group in optimizer.param_groups)
        np.testing.assert_allclose(rates, arrays["rates"][number], **RELATIVE)
        optimizer.zero_grad()
        total, _ = objective(batch, net(batch), progress)
        total.backward()
        optimizer.step()
        same(total, arrays["losses"][number], RELATIVE, f"loss of epoch {epoch}")
    check_parameters(case, net.state_dict(), "param", "after.")
