"""Golden adapters of parts of networks: non-local blocks, HCT's stripe head, MCLNet's head, MCE's learned pooling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_losses import GivenMap, batch_of, check_stored, leaf, outputs, released_head, same, tensor
from adapters_networks import MPA, mpa_recipe
from rounding import ZeroGradients
from runner import Case, adapter
from torch import Tensor, nn

from vireid.layers.non_local import NonLocalBlock
from vireid.layers.norms import l2_normalize
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.stripes import StripeHead
from vireid.models.pooling import AveragePool, GeM

Arrays = Mapping[str, np.ndarray]

# -- the non-local block ---------------------------------------------------------------------------------------------

INNER = ("theta", "phi", "g.0")


def non_local(weights: Arrays, dtype: torch.dtype) -> NonLocalBlock:
    block = NonLocalBlock(weights["W.1.weight"].shape[0])
    state = {f"inner.{kind}": np.concatenate([weights[f"{n}.{kind}"] for n in INNER]) for kind in ("weight", "bias")}
    state |= {f"project.{kind}": weights[f"W.0.{kind}"] for kind in ("weight", "bias")}
    state |= {name.replace("W.1.", "norm."): value for name, value in weights.items() if name.startswith("W.1.")}
    block.load_state_dict({name: tensor(value) for name, value in state.items()})
    return block.to(dtype)


def gradient_of_block(block: NonLocalBlock, name: str) -> Tensor:
    layer, _, kind = name.rpartition(".")
    if layer in INNER:
        whole = block.inner.get_parameter(kind).grad
        assert whole is not None
        return whole[INNER.index(layer)][None]
    ours = {"W.0": block.project, "W.1": block.norm}[layer].get_parameter(kind).grad
    assert ours is not None
    return ours


@adapter("agw", "mod_non_local")
def mod_non_local(case: Case) -> None:
    weights = {key.removeprefix("w_"): value for key, value in case.arrays.items() if key.startswith("w_")}
    for dtype, tolerance in {
        torch.float64: {"rtol": 1e-9, "atol": 1e-10},
        torch.float32: {"rtol": 1e-4, "atol": 1e-4},
    }.items():
        for mode in ("eval", "train"):
            block, x = non_local(weights, dtype).train(mode == "train"), leaf(case.arrays["in_x"], dtype)
            zeros = ZeroGradients(block)
            result = block(x)
            (result * tensor(case.arrays[f"cot0_{mode}"], dtype)).sum().backward()
            same(result, case.arrays[f"out0_{mode}"], tolerance, f"{mode}, {dtype}")
            same(x.grad, case.arrays[f"grad_x_{mode}"], tolerance, f"{mode} gradient of x, {dtype}")
            for key, stored in case.arrays.items():
                if key.startswith("gradw_") and key.endswith(f"_{mode}"):
                    name = key.removeprefix("gradw_").removesuffix(f"_{mode}")
                    allowed = zeros.tolerance(name.replace("W.0.", "project."), stored, tolerance, dtype)
                    same(gradient_of_block(block, name), stored, allowed, f"{key}, {dtype}")
                if key.startswith("buf_") and key.endswith(f"_after_{mode}"):
                    name = key.removeprefix("buf_W.1.").removesuffix(f"_after_{mode}")
                    same(block.norm.get_buffer(name), stored, tolerance, f"{key}, {dtype}")


@adapter("mpa", "mclnet_non_local")
def mclnet_non_local(case: Case) -> None:
    weights = {key.removeprefix("w."): value for key, value in case.arrays.items() if key.startswith("w.")}
    for dtype, tolerance in MPA.items():
        for mode in ("eval", "train"):
            block, x = non_local(weights, dtype).train(mode == "train"), leaf(case.arrays["x"], dtype)
            result = block(x)
            (result * tensor(case.arrays["g"], dtype)).sum().backward()
            same(result, case.arrays[f"out_{mode}"], tolerance, f"{mode}, {dtype}")
            same(x.grad, case.arrays[f"grad_x_{mode}"], tolerance, f"{mode} gradient, {dtype}")


# -- the stripe head of HCT ------------------------------------------------------------------------------------------


def stripe_state(weights: Arrays, parts: int) -> dict[str, Tensor]:
    def each(name: str, join=np.stack) -> Tensor:
        values = [weights[name.format(part)] for part in range(parts)]
        return tensor(join([v.reshape(v.shape[:2]) for v in values]))

    norm = ("weight", "bias", "running_mean", "running_var")
    state = {f"norm.{kind}": each(f"local_conv_list.{{}}.1.{kind}", np.concatenate) for kind in norm}
    state["norm.num_batches_tracked"] = tensor(weights["local_conv_list.0.1.num_batches_tracked"])
    for kind in ("weight", "bias"):
        state[f"project.{kind}"] = each(f"local_conv_list.{{}}.0.{kind}")
        state[f"classifier.{kind}"] = each(f"fc_list.{{}}.{kind}")
    return state


def of_stripe(head: StripeHead, name: str, take) -> Tensor:
    """Our rows of a released tensor of one stripe."""
    words = name.split(".")
    part, kind = int(words[1]), words[-1]
    if words[0] == "fc_list":
        return take(f"classifier.{kind}")[part]
    if words[2] == "0":
        return take(f"project.{kind}")[part]
    return take(f"norm.{kind}").unflatten(0, (head.num_parts, head.dim))[part]


@adapter("pae", "part_head")
def part_head(case: Case) -> None:
    params = case.params
    weights = {key.removeprefix("state/"): value for key, value in case.arrays.items() if key.startswith("state/")}
    channels, parts = params["shape"][1], params["stripes"]
    for bits, dtype in {"64": torch.float64, "32": torch.float32}.items():
        for mode in ("eval", "train"):
            head = StripeHead(
                num_parts=parts, dim=params["local_dim"], p=params["p"], num_ids=params["classes"], channels=channels
            )
            head.load_state_dict(stripe_state(weights, parts))
            net = CrossModalityNet(
                backbone=GivenMap(channels), pool=AveragePool(), heads={"parts": head}, embedding=["features"]
            )
            net.to(dtype).train(mode == "train")
            zeros, x = ZeroGradients(head), leaf(case.arrays["in/x"], dtype)
            out = net(batch_of(x)).values
            results = {"feat_l2": l2_normalize(out["features"])} if mode == "eval" else {"feat_all": out["features"]}
            if mode == "train":
                for part in range(parts):
                    results |= {f"local{part}": out["part_features"][:, part]}
                    results |= {f"logits{part}": out["part_logits"][:, part]}
            else:
                same(net.embed(batch_of(x)), results["feat_l2"].detach().numpy(), {"rtol": 1e-6}, "describe")
            probes = {name: tensor(case.arrays[f"{mode}/probe/{name}"], dtype) for name in results}
            sum((results[name] * probes[name]).sum() for name in results).backward()
            close, loose = case.tolerance[f"f{bits}_vs_out64"], case.tolerance[f"grad_f{bits}"]
            for name, result in results.items():
                same(result, case.arrays[f"{mode}/out64/{name}"], close, f"{mode} {name}, float{bits}")
            same(x.grad, case.arrays[f"{mode}/grad64/x"], loose, f"{mode} gradient of x, float{bits}")

            def gradient(name: str, head=head) -> Tensor:
                return of_stripe(head, name, lambda key: head.get_parameter(key).grad)

            def buffer(name: str, head=head) -> Tensor:
                return of_stripe(head, name, head.get_buffer)

            def allowed(name: str, stored: np.ndarray, zeros=zeros, loose=loose, dtype=dtype) -> Mapping[str, float]:
                projected = name.startswith("local_conv_list.") and name.endswith(".0.bias")
                return zeros.tolerance("project.bias" if projected else name, stored, loose, dtype)

            check_stored(case, f"{mode}/gradw64/", gradient, allowed)
            check_stored(case, f"{mode}/state_after64/", buffer, close)


@adapter("mpa", "mclnet_head")
def mclnet_head(case: Case) -> None:
    arrays = case.arrays
    shapes = {name: tuple(shape) for name, shape in case.params["keys_shapes"].items()}
    weights = {name: value.numpy() for name, value in mpa_recipe(shapes, case.params["recipe_seed"]).items()}
    for dtype, tolerance in MPA.items():
        net = released_head(weights, GeM(p=3.0), dtype)
        x = torch.cat([tensor(arrays["map_v"], dtype), tensor(arrays["map_t"], dtype)]).requires_grad_()
        for name, result in zip(("eval_pool", "eval_bn"), outputs(net, x, "eval"), strict=True):
            same(result, arrays[name], tolerance, f"{name}, {dtype}")
        out = net.train()(batch_of(x)).values
        results = {"pool": out["features"], "logits": out["logits"], "bn": out["features_bn"]}
        for name, result in results.items():
            same(result, arrays[f"train_{name}"], tolerance, f"train_{name}, {dtype}")
        sum((result * tensor(arrays[f"g_{name}"], dtype)).sum() for name, result in results.items()).backward()
        assert x.grad is not None
        for name, grad in zip(("grad_map_v", "grad_map_t"), x.grad.chunk(2), strict=True):  # stored in float32
            same(grad, arrays[name], {"rtol": max(tolerance["rtol"], 1e-5), "atol": 1e-6}, f"{name}, {dtype}")


@adapter("mpa", "mclnet_normalize")
def mclnet_normalize(case: Case) -> None:
    for dtype, tolerance in MPA.items():
        same(l2_normalize(tensor(case.arrays["x"], dtype)), case.arrays["out"], tolerance, str(dtype))


# -- MCE's learned pooling -------------------------------------------------------------------------------------------


@adapter("mpa", "mce_gem")
def mce_gem(case: Case) -> None:
    """The release trains the exponent, ours its logarithm: d/dp = (d/d log p) / p."""
    arrays = case.arrays
    for dtype, tolerance in MPA.items():
        pool = GeM(p=case.params["p"], learn=True).to(dtype)
        nn.init.constant_(pool.log_p, np.log(case.params["p"]))
        x = leaf(arrays["x"], dtype)
        result = pool(x)
        (result * tensor(arrays["g"], dtype).flatten(1)).sum().backward()
        same(result, arrays["out"], tolerance, f"{dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient of x, {dtype}")
        assert pool.log_p is not None
        assert pool.log_p.grad is not None
        same(pool.log_p.grad / case.params["p"], arrays["grad_p"], tolerance, f"gradient of p, {dtype}")
