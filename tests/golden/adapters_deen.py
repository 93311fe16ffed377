"""Golden adapters of DEEN: aggregation of stages, expansion, losses over branches, head, whole networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from adapters_losses import leaf, same, tensor
from adapters_networks import STEP, agw_recipe, check_step, check_taps, rows, statistics, whole
from rounding import ZeroGradients
from runner import Case, adapter
from torch import Tensor, nn

from vireid.config import Build, load_checked
from vireid.core.types import DatasetInfo, Modality, Progress
from vireid.layers.cross_stage import ChannelNonLocal, PositionNonLocal, StageAggregation
from vireid.layers.norms import l2_normalize
from vireid.losses.diversity import CenterPairMining, OrthogonalBranches
from vireid.models.backbones.diverse import EmbeddingExpansion
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.identity import IdentityHead
from vireid.models.pooling import AveragePool
from vireid.testing import disable_dropout
from vireid.zoo.models import config_path

AGW = {torch.float64: {"rtol": 1e-9, "atol": 1e-11}, torch.float32: {"rtol": 1e-4, "atol": 1e-4}}
LAYERS = {"theta": "query", "phi": "key", "g": "value", "W.0": "project", "W.1": "norm"}
BLOCKS = {"CNL": "channel", "PNL": "position"}


# -- modules ---------------------------------------------------------------------------------------------------------


def block_name(name: str) -> str:
    """Ours for a released tensor of a channel or position block."""
    layer, _, kind = name.rpartition(".")
    return f"{LAYERS[layer]}.{kind}"


def aggregation_name(name: str) -> str:
    block, _, rest = name.partition(".")
    return f"{BLOCKS[block]}.{block_name(rest)}"


def expansion_name(name: str) -> str:
    """FC12 is the second convolution of branch 1, FC1 what widens it again."""
    layer, _, kind = name.partition(".")
    branch, *number = (int(digit) - 1 for digit in layer.removeprefix("FC"))
    return f"branches.{branch}.{f'dilated.{number[0]}' if number else 'widen'}.{kind}"


def check_module(
    case: Case, build: Callable[[], nn.Module], ours: Callable[[str], str], inputs: tuple[str, ...]
) -> None:
    """Output, gradients of inputs and of every stored weight, and running statistics, in each mode and precision."""
    weights = {ours(key.removeprefix("w_")): tensor(v) for key, v in case.arrays.items() if key.startswith("w_")}
    for dtype, tolerance in AGW.items():
        for mode in [mode for mode in ("eval", "train") if f"out0_{mode}" in case.arrays]:
            module = disable_dropout(build())
            module.load_state_dict(weights)
            module.to(dtype).train(mode == "train")
            zeros = ZeroGradients(module)
            given = {name: leaf(case.arrays[f"in_{name}"], dtype) for name in inputs}
            result = module(*given.values())
            (result * tensor(case.arrays[f"cot0_{mode}"], dtype)).sum().backward()
            same(result, case.arrays[f"out0_{mode}"], tolerance, f"{mode}, {dtype}")
            for name, value in given.items():
                same(value.grad, case.arrays[f"grad_{name}_{mode}"], tolerance, f"gradient of {name}, {mode}, {dtype}")
            for key, stored in case.arrays.items():
                if key.startswith("gradw_") and key.endswith(f"_{mode}"):
                    name = ours(key.removeprefix("gradw_").removesuffix(f"_{mode}"))
                    allowed = zeros.tolerance(name, stored, tolerance, dtype)
                    same(module.get_parameter(name).grad, stored, allowed, f"{key}, {dtype}")
                if key.startswith("buf_") and key.endswith(f"_after_{mode}"):
                    name = ours(key.removeprefix("buf_").removesuffix(f"_after_{mode}"))
                    same(module.get_buffer(name), stored, tolerance, f"{key}, {dtype}")


@adapter("agw", "mod_cnl")
def mod_cnl(case: Case) -> None:
    build = lambda: ChannelNonLocal(case.params["high"], case.params["low"])  # noqa: E731
    check_module(case, build, block_name, ("x_h", "x_l"))


@adapter("agw", "mod_pnl")
def mod_pnl(case: Case) -> None:
    build = lambda: PositionNonLocal(case.params["high"], case.params["low"])  # noqa: E731
    check_module(case, build, block_name, ("x_h", "x_l"))


@adapter("agw", "mod_mfa")
def mod_mfa(case: Case) -> None:
    build = lambda: StageAggregation(case.params["high"], case.params["low"])  # noqa: E731
    check_module(case, build, aggregation_name, ("x_h", "x_l"))


@adapter("agw", "mod_dee", "mod_dee_eval")
def mod_dee(case: Case) -> None:
    channels = case.arrays["in_x"].shape[1]
    check_module(case, lambda: EmbeddingExpansion(channels), expansion_name, ("x",))


# -- losses and head -------------------------------------------------------------------------------------------------


@adapter("agw", "loss_cpm")
def loss_cpm(case: Case) -> None:
    """Rows: original visible, original infrared, branch visible, branch infrared, in equal blocks."""
    labels = tensor(case.arrays["in_y"])
    block = torch.arange(4).repeat_interleave(len(labels) // 4)
    modality = torch.tensor([Modality.VISIBLE, Modality.INFRARED])[block % 2]
    loss = CenterPairMining(margin=case.params["margin"])
    for dtype, suffix, tolerance in (
        (torch.float64, "", {"rtol": 1e-10, "atol": 1e-13}),
        (torch.float32, "_f32", {"rtol": 2e-5, "atol": 1e-7}),
    ):
        x = leaf(case.arrays["in_x"], dtype)
        value = loss(x, labels, modality, block // 2)
        value.backward()
        same(value, case.arrays[f"out_loss{suffix}"], tolerance, f"loss, {dtype}")
        same(x.grad, case.arrays[f"grad_x{suffix}"], tolerance, f"gradient, {dtype}")


@adapter("agw", "mod_deen_head")
def mod_deen_head(case: Case) -> None:
    """`bottleneck.bias` has a stored gradient, but is frozen in the release as it is here."""
    weights = {key.removeprefix("w_"): tensor(value) for key, value in case.arrays.items() if key.startswith("w_")}
    ours = {name: name.replace("bottleneck", "neck") for name in weights}
    classes, channels = weights["classifier.weight"].shape
    images = len(case.arrays["in_x"]) // 3
    branch, source = torch.arange(3).repeat_interleave(images), torch.arange(images).repeat(3)
    for dtype, tolerance in AGW.items():
        for mode in ("eval", "train"):
            head = IdentityHead(num_ids=classes, channels=channels)
            head.load_state_dict({ours[name]: value for name, value in weights.items()})
            head.to(dtype).train(mode == "train")
            x = leaf(case.arrays["in_x"], dtype)
            out = head(AveragePool()(x))
            results = [l2_normalize(out["features"]), l2_normalize(out["features_bn"])]
            if mode == "train":
                results = [out["features"], out["logits"], OrthogonalBranches()(out["features"], branch, source)]
            total = torch.zeros((), dtype=dtype)
            for i, result in enumerate(results):
                same(result, case.arrays[f"out{i}_{mode}"], tolerance, f"out{i}, {mode}, {dtype}")
                total = total + (result * tensor(case.arrays[f"cot{i}_{mode}"], dtype)).sum()
            total.backward()
            same(x.grad, case.arrays[f"grad_x_{mode}"], tolerance, f"gradient of x, {mode}, {dtype}")
            for name in ("bottleneck.weight", "classifier.weight")[: 2 if mode == "train" else 1]:
                stored = case.arrays[f"gradw_{name}_{mode}"]
                same(head.get_parameter(ours[name]).grad, stored, tolerance, f"gradient of {name}, {mode}, {dtype}")
        for kind in ("running_mean", "running_var"):
            stored = case.arrays[f"buf_bottleneck.{kind}_after_train"]
            same(head.neck.get_buffer(kind), stored, tolerance, f"{kind}, {dtype}")


# -- whole networks --------------------------------------------------------------------------------------------------

CONFIGS = {"deen": "deen", "deen_regdb": "regdb/deen"}


def deen(case: Case, model: str) -> CrossModalityNet:
    classes = case.params["n_class"]
    weights = agw_recipe(model, classes, case.params["weight_seed"])
    return disable_dropout(whole(model, CONFIGS[model], weights, classes))


def tap(net: CrossModalityNet, taken: dict) -> None:
    """Note what blocks, aggregations and the expansion put out, under the release's names."""
    named = {"DEE": net.backbone.expand}
    named |= {f"MFA{key[-1]}": module for key, module in net.backbone.aggregate.items()}
    for key, stage in net.backbone.shared.items():
        named |= {f"layer{key[-1]}_{block}": module for block, module in stage.named_children()}
    for name, module in named.items():
        module.register_forward_hook(lambda m, i, out, name=name: taken.update({name: statistics(out)}))


def check_eval(case: Case, model: str) -> None:
    net, taken, exact = deen(case, model).eval(), {}, {"rtol": 1e-8, "atol": 1e-11}
    tap(net, taken)
    with torch.no_grad():
        visible, infrared = case.arrays["in_visible"], case.arrays["in_infrared"]
        for short, batch in {"ir": rows(None, infrared), "vis": rows(visible, None)}.items():
            values = net(batch).values
            for i, name in enumerate(("features", "features_bn")):
                same(l2_normalize(values[name]), case.arrays[f"out_{short}_feat{i}"], exact, f"{short} {name}")
        check_taps(case, taken)
        six = [tensor(case.arrays[f"out_vis_feat{i}"]).unflatten(0, (3, -1)) for i in range(2)]
        described = net.embed(rows(visible, None))  # the release adds up six inner products
        added = sum(half @ half.transpose(1, 2) for half in six).sum(dim=0)
        same(6 * described @ described.T, added.numpy(), exact, "sum of the six similarities")
        net.float()
        batch = rows(visible, None)
        single = l2_normalize(net(batch.with_images(batch.images.float())).values["features_bn"])
        same(single, case.arrays["out_vis_feat1"], {"rtol": 0, "atol": 1e-4}, "float32")


def check_train(case: Case, model: str) -> None:
    arrays, net = case.arrays, deen(case, model).train()
    objective = Build(
        load_checked(config_path(CONFIGS[model])), DatasetInfo(num_ids=case.params["n_class"], num_cameras=6)
    ).objective(net)
    batch = rows(arrays["in_visible"], arrays["in_infrared"], arrays["in_label_per_modality"])
    batch.images.retain_grad()
    out = net(batch)
    total, logged = objective(batch, out, Progress())
    total.backward()
    for name, field in {"feat": "features", "logits": "logits"}.items():
        same(out.values[field], arrays[f"out_{name}"], STEP, name)
    terms: Mapping[str, Tensor] = {
        "loss": total,
        "loss_id": logged["id"],
        "loss_tri": logged["triplet"],
        "loss_cpm": 0.8 * logged["centers"],  # stored with its weight
        "loss_ort": 0.01 * logged["orthogonal"],
    }
    for name, value in terms.items():
        same(value, arrays[f"out_{name}"], STEP, name)
    check_step(case, model, net, batch)


for _model in CONFIGS:
    adapter("agw", f"full_{_model}_eval")(lambda case, model=_model: check_eval(case, model))
    adapter("agw", f"full_{_model}_train")(lambda case, model=_model: check_train(case, model))
