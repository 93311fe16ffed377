"""Golden adapters of DDAG: part attention, graph layer, adjacency, and the head with its graph.

The bias of the release's second projection (wpa.fc2.bias) has no effect on any output and is not ours: its stored
gradients must be zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from adapters_losses import leaf, same, tensor
from adapters_networks import STEP, agw_recipe, check_step, check_taps, rows, tap, whole
from rounding import ZeroGradients
from runner import Case, adapter
from torch import Tensor

from vireid.config import Build, check_config
from vireid.config.load import read_unchecked
from vireid.core.types import DatasetInfo, Progress
from vireid.layers.graph import GraphAttention
from vireid.layers.norms import l2_normalize
from vireid.layers.pairwise import groups
from vireid.losses.graph import CrossModalityGraph
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.part_attention import PartAttention, PartAttentionHead
from vireid.models.pooling import AveragePool
from vireid.zoo.models import config_path

AGW = {torch.float64: {"rtol": 1e-9, "atol": 1e-11}, torch.float32: {"rtol": 1e-4, "atol": 1e-4}}
ATTENTION = {"fc1.0": "query", "fc2": "key", "fc3": "value", "bottleneck": "neck"}


def weights_of(case: Case) -> dict[str, np.ndarray]:
    return {key.removeprefix("w_"): value for key, value in case.arrays.items() if key.startswith("w_")}


def attention_name(name: str) -> str | None:
    """Ours for a released tensor of the part attention; None where it has no effect."""
    layer, _, kind = name.rpartition(".")
    if name == "fc2.bias" or layer.startswith("W."):
        return None
    return f"{ATTENTION[layer]}.{kind}" if layer else kind


def attention_state(weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    state = {attention_name(name): tensor(value) for name, value in weights.items()}
    return {name: value.flatten(1) if value.dim() == 4 else value for name, value in state.items() if name}


def answer(results: Mapping[str, Tensor], case: Case, mode: str, dtype: torch.dtype) -> None:
    """Compare outputs out0, out1, ... and go backward from their stored cotangents."""
    for name, result in results.items():
        same(result, case.arrays[f"{name}_{mode}"], AGW[dtype], f"{name}, {mode}, {dtype}")
    cotangents = {name: case.arrays[f"cot{name.removeprefix('out')}_{mode}"] for name in results}
    sum((result * tensor(cotangents[name], dtype)).sum() for name, result in results.items()).backward()


def modes(case: Case) -> list[str]:
    return [mode for mode in ("eval", "train") if f"out0_{mode}" in case.arrays]


def each_gradient(case: Case, mode: str):
    for key, stored in case.arrays.items():
        if key.startswith("gradw_") and key.endswith(f"_{mode}"):
            yield key.removeprefix("gradw_").removesuffix(f"_{mode}"), stored


def check_attention(
    case: Case, attention: PartAttention, zeros: ZeroGradients, mode: str, dtype: torch.dtype, prefix: str = ""
) -> None:
    """Stored gradients of the part attention and its running statistics after a step."""
    for name, stored in each_gradient(case, mode):
        if not name.startswith(prefix):
            continue
        ours = attention_name(name.removeprefix(prefix))
        if ours is None:
            assert np.abs(stored).max() < 1e-12, f"{name} has an effect in the release"
            continue
        allowed = zeros.tolerance(ours, stored, AGW[dtype], dtype)
        same(attention.get_parameter(ours).grad, stored, allowed, f"gradient of {name}, {mode}, {dtype}")
    for kind in ("running_mean", "running_var") if mode == "train" else ():
        stored = case.arrays[f"buf_{prefix}bottleneck.{kind}_after_train"]
        same(attention.neck.get_buffer(kind), stored, AGW[dtype], f"{kind}, {dtype}")


@adapter("agw", "mod_iwpa")
def mod_iwpa(case: Case) -> None:
    channels = case.arrays["in_x"].shape[1]
    for dtype in AGW:
        for mode in modes(case):
            attention = PartAttention(channels, case.params["part"])
            attention.load_state_dict(attention_state(weights_of(case)))
            attention.to(dtype).train(mode == "train")
            attention.neck.bias.requires_grad_()
            zeros = ZeroGradients(attention)
            x, feat = leaf(case.arrays["in_x"], dtype), leaf(case.arrays["in_feat"], dtype)
            answer({"out0": attention(x, feat)}, case, mode, dtype)
            same(x.grad, case.arrays[f"grad_x_{mode}"], AGW[dtype], f"gradient of x, {mode}, {dtype}")
            same(feat.grad, case.arrays[f"grad_feat_{mode}"], AGW[dtype], f"gradient of feat, {mode}, {dtype}")
            check_attention(case, attention, zeros, mode, dtype)


def graph_state(weights: Mapping[str, np.ndarray], *layers: str) -> dict[str, Tensor]:
    """Released layers (prefixes) side by side as one of ours: a = (a1; a2)."""
    matrices = [tensor(weights[f"{layer}W"]) for layer in layers]
    vectors = [tensor(weights[f"{layer}a"]).flatten().chunk(2) for layer in layers]
    first, second = (torch.stack(list(each)) for each in zip(*vectors, strict=True))
    return {"weight": torch.stack(matrices), "source": first, "target": second}


def graph_gradient(layer: GraphAttention, name: str, head: int = 0) -> Tensor:
    assert layer.weight.grad is not None
    assert layer.source.grad is not None
    assert layer.target.grad is not None
    if name == "W":
        return layer.weight.grad[head]
    return torch.cat([layer.source.grad[head], layer.target.grad[head]])


@adapter("agw", "mod_gat")
def mod_gat(case: Case) -> None:
    """`concat` means that the release's layer ends in an ELU, which ours leaves to its caller."""
    adjacent = tensor(case.arrays["in_adj"]) > 0
    inputs, outputs = case.arrays["w_W"].shape
    for dtype in AGW:
        for mode in modes(case):
            layer = GraphAttention(inputs, outputs, dropout=case.params["dropout"], slope=case.params["alpha"])
            layer.load_state_dict(graph_state(weights_of(case), ""))
            layer.to(dtype).train(mode == "train")
            x = leaf(case.arrays["in_x"], dtype)
            result = layer(x, adjacent).squeeze(1)
            answer({"out0": F.elu(result) if case.params["concat"] else result}, case, mode, dtype)
            same(x.grad, case.arrays[f"grad_x_{mode}"], AGW[dtype], f"gradient of x, {mode}, {dtype}")
            for name, stored in each_gradient(case, mode):
                same(graph_gradient(layer, name), stored, AGW[dtype], f"gradient of {name}, {mode}, {dtype}")


@adapter("agw", "ddag_adjacency")
def ddag_adjacency(case: Case) -> None:
    """The mask that our loss makes of labels is where the released matrix is positive, and gives it back."""
    labels = tensor(case.arrays["in_labels"])
    mask = groups(labels).same
    np.testing.assert_array_equal(mask.numpy(), case.arrays["out_adj_norm"] > 0)
    matrix = mask.double() + torch.eye(len(labels), dtype=torch.float64)
    same(l2_normalize(matrix), case.arrays["out_adj_norm"], {"rtol": 0, "atol": 1e-6}, "adjacency")


def released_head(case: Case, dtype: torch.dtype) -> PartAttentionHead:
    weights = weights_of(case)
    classes, channels = weights["classifier.weight"].shape
    head = PartAttentionHead(num_parts=case.params["part"], num_ids=classes, channels=channels)
    own = {name.removeprefix("wpa."): value for name, value in weights.items() if name.startswith("wpa.")}
    state = {f"attention.{name}": value for name, value in attention_state(own).items()}
    state["identity.classifier.weight"] = tensor(weights["classifier.weight"])
    for name, value in weights.items():
        if name.startswith("bottleneck."):
            state[f"identity.neck.{name.removeprefix('bottleneck.')}"] = tensor(value)
    head.load_state_dict(state)
    return head.to(dtype)


@adapter("agw", "mod_ddag_head_eval")
def mod_ddag_head_eval(case: Case) -> None:
    for dtype in AGW:
        head, x = released_head(case, dtype).eval(), leaf(case.arrays["in_x"], dtype)
        zeros = ZeroGradients(head.attention)
        out = head(AveragePool()(x), x)
        results = {"out0": l2_normalize(out["features_bn"]), "out1": l2_normalize(out["features_att"])}
        answer(results, case, "eval", dtype)
        same(x.grad, case.arrays["grad_x_eval"], AGW[dtype], f"gradient of x, {dtype}")
        check_attention(case, head.attention, zeros, "eval", dtype, "wpa.")


@adapter("agw", "mod_ddag_head_train")
def mod_ddag_head_train(case: Case) -> None:
    params, weights = case.params, weights_of(case)
    labels = torch.tensor(params["labels"])
    names = [f"attention_{head}." for head in range(params["heads"])]
    for dtype in AGW:
        head, x = released_head(case, dtype).train(), leaf(case.arrays["in_x"], dtype)
        zeros = ZeroGradients(head.attention)
        graph = CrossModalityGraph(
            num_heads=params["heads"],
            width=params["low_dim"],
            dropout=params["drop"],
            slope=params["alpha"],
            num_ids=len(weights["classifier.weight"]),
            feature_dim=x.shape[1],
        ).to(dtype)
        graph.heads.load_state_dict(graph_state(weights, *names))
        graph.out.load_state_dict(graph_state(weights, "out_att."))
        out = head(AveragePool()(x), x)
        chances = graph.scores(out["features"], labels).log_softmax(dim=1)
        results = {"out0": out["features"], "out1": out["logits"], "out2": out["logits_att"], "out3": chances}
        answer(results, case, "train", dtype)
        same(x.grad, case.arrays["grad_x_train"], AGW[dtype], f"gradient of x, {dtype}")
        check_attention(case, head.attention, zeros, "train", dtype, "wpa.")
        for name, stored in each_gradient(case, "train"):
            layer, _, kind = name.rpartition(".")
            if layer.startswith("attention_"):
                ours = graph_gradient(graph.heads, kind, int(layer.removeprefix("attention_")))
            elif layer == "out_att":
                ours = graph_gradient(graph.out, kind)
            elif name == "classifier.weight":
                ours = head.identity.classifier.weight.grad
            elif name == "bottleneck.weight":
                ours = head.identity.neck.weight.grad
            else:
                assert layer.startswith("wpa") or name == "bottleneck.bias"  # the latter is frozen in the release too
                continue
            same(ours, stored, AGW[dtype], f"gradient of {name}, {dtype}")
        for kind in ("running_mean", "running_var"):
            stored = case.arrays[f"buf_bottleneck.{kind}_after_train"]
            same(head.identity.neck.get_buffer(kind), stored, AGW[dtype], f"neck's {kind}, {dtype}")


# -- the whole network -----------------------------------------------------------------------------------------------


def ddag(case: Case) -> tuple[CrossModalityNet, dict[str, Tensor]]:
    """The network of the shipped config with weights by the recipe, and these weights."""
    classes = case.params["n_class"]
    weights = agw_recipe("ddag", classes, case.params["weight_seed"])
    return whole("ddag", "ddag", weights, classes), weights


@adapter("agw", "full_ddag_eval")
def full_ddag_eval(case: Case) -> None:
    net, taken, exact = ddag(case)[0].eval(), {}, {"rtol": 1e-8, "atol": 1e-11}
    tap(net, taken)
    with torch.no_grad():
        visible, infrared = case.arrays["in_visible"], case.arrays["in_infrared"]
        for short, batch in {"ir": rows(None, infrared), "vis": rows(visible, None)}.items():
            neck = l2_normalize(net(batch).values["features_bn"])
            same(neck, case.arrays[f"out_{short}_feat0"], exact, f"{short} after the neck")
            same(net.embed(batch), case.arrays[f"out_{short}_feat1"], exact, f"{short} part-attended")
        check_taps(case, taken)
        net.float()
        batch = rows(visible, None)
        single = net.embed(batch.with_images(batch.images.float()))
        same(single, case.arrays["out_vis_feat1"], {"rtol": 0, "atol": 1e-4}, "float32")


@adapter("agw", "full_ddag_train")
def full_ddag_train(case: Case) -> None:
    """The objective of the shipped config, its graph without dropout and with the weight that the case gives."""
    arrays, (net, weights) = case.arrays, ddag(case)
    net.train()
    config = read_unchecked(config_path("ddag"), {"OBJECTIVE.GRAPH.DROPOUT": 0.0})
    objective = (
        Build(check_config(config), DatasetInfo(num_ids=case.params["n_class"], num_cameras=6)).objective(net).double()
    )
    names = [f"attention_{head}." for head in range(4)]
    numbers = {name: value.numpy() for name, value in weights.items()}
    objective.graph.heads.load_state_dict(graph_state(numbers, *names))
    objective.graph.out.load_state_dict(graph_state(numbers, "out_att."))
    batch = rows(arrays["in_visible"], arrays["in_infrared"], arrays["in_label_per_modality"])
    batch.images.retain_grad()
    out = net(batch)
    before = {"id": 1 / case.params["wG"] - 1, "triplet": 0.0, "part_id": 0.0}  # makes 1 / (1 + loss) what it is there
    total, logged = objective(batch, out, Progress(epoch=1, last_epoch=before))
    total.backward()
    fields = {"feat": "features", "logits": "logits", "part_logits": "logits_att"}
    for name, field in fields.items():
        same(out.values[field], arrays[f"out_{name}"], STEP, name)
    chances = objective.graph.scores(out.values["features"], batch.labels).log_softmax(dim=1)
    same(chances, arrays["out_graph_logp"], STEP, "graph")
    terms = {"id": "id", "tri": "triplet", "part": "part_id", "graph": "graph"}
    for name, value in {"loss": total, **{f"loss_{name}": logged[term] for name, term in terms.items()}}.items():
        same(value, arrays[f"out_{name}"], STEP, name)
    more = {
        f"{name}{kind}": graph_gradient(objective.graph.heads, kind, i) for i, name in enumerate(names) for kind in "Wa"
    }
    more |= {f"out_att.{kind}": graph_gradient(objective.graph.out, kind) for kind in "Wa"}
    check_step(case, "ddag", net, batch, more)
