"""Golden adapters of losses, pools and heads: values and gradients, in float64 and in float32.

Numbers that the release only logs and that ours does not compute are not compared: MMD's largest squared distance and
its four block means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from runner import Case, adapter
from torch import Tensor, nn

from vireid.core.types import Batch, Modality
from vireid.layers.norms import l2_normalize
from vireid.layers.pairwise import Hardest, distances, group_means, groups, hardest
from vireid.layers.pooling import generalized_mean
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.mmd import MMD, MarginMMD, discrepancies
from vireid.losses.triplet import BatchHardTriplet, HeteroCenterTriplet, WeightedRegularizedTriplet
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.identity import IdentityHead
from vireid.models.pooling import AveragePool, GeM

PRECISIONS = {"64": torch.float64, "32": torch.float32}


def tensor(array: np.ndarray, dtype: torch.dtype | None = None) -> Tensor:
    value = torch.from_numpy(np.ascontiguousarray(array)).reshape(np.shape(array))  # scalars stay scalars
    return value.to(dtype) if dtype is not None and value.is_floating_point() else value


def leaf(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    return tensor(array, dtype).requires_grad_()


def same(ours: Tensor | None, stored: np.ndarray, tolerance: Mapping[str, float], what: str) -> None:
    assert ours is not None, f"{what}: there is nothing to compare"
    np.testing.assert_allclose(
        ours.detach().numpy().astype(np.float64),
        np.asarray(stored, np.float64).reshape(ours.shape),
        err_msg=what,
        **tolerance,
    )


# -- pae -------------------------------------------------------------------------------------------------------------


def check_pae_loss(case: Case, names: tuple[str, ...], loss: Callable[..., Tensor]) -> None:
    """Value and gradients with respect to the inputs of these names, both precisions, at the case's tolerances."""
    for bits, dtype in PRECISIONS.items():
        inputs = [leaf(case.arrays[f"in/{name}"], dtype) for name in names]
        value = loss(*inputs)
        assert value.dtype == dtype
        value.backward()
        same(value, case.arrays["out64/loss"], case.tolerance[f"f{bits}_vs_out64"], f"loss, float{bits}")
        for name, given in zip(names, inputs, strict=True):
            stored = case.arrays[f"grad64/{name}"]
            same(given.grad, stored, case.tolerance[f"grad_f{bits}"], f"gradient of {name}, float{bits}")


def two_modalities(rows: int) -> Tensor:
    """Modality of the released layout: the first half visible, the second infrared."""
    return torch.tensor([Modality.VISIBLE, Modality.INFRARED]).repeat_interleave(rows // 2)


def kernel(case: Case) -> dict:
    return {"kernel_mul": case.params["kernel_mul"], "kernel_num": case.params["kernel_num"]}


@adapter("pae", "mmd_global")
def mmd_global(case: Case) -> None:
    loss = MMD(**kernel(case))
    check_pae_loss(
        case,
        ("visible", "infrared"),
        lambda visible, infrared: loss(torch.cat([visible, infrared]), two_modalities(2 * len(visible))),
    )


@adapter("pae", "margin_mmd")
def margin_mmd(case: Case) -> None:
    """The release knows no labels here: P groups of K rows, identity-major, the same in both modalities."""
    identities, each = case.params["P"], case.params["K"]
    labels = torch.arange(identities).repeat_interleave(each).repeat(2)
    loss = MarginMMD(margin=case.params["margin"], mode="threshold", **kernel(case))

    def value(visible: Tensor, infrared: Tensor) -> Tensor:
        return loss(torch.cat([visible, infrared]), labels, two_modalities(len(labels)))

    check_pae_loss(case, ("visible", "infrared"), value)
    rows = torch.cat([tensor(case.arrays[f"in/{name}"], torch.float64) for name in ("visible", "infrared")])
    together, visible = groups(labels), two_modalities(len(labels)) == Modality.VISIBLE
    values = discrepancies(rows, together.same, visible, **kernel(case))[together.first]
    if "per_identity_mmd" in case.params:
        stored = np.array(case.params["per_identity_mmd"])
        same(values, stored, {"rtol": 1e-9, "atol": 1e-10}, "discrepancy of each identity")


def check_triplet(case: Case, loss: Callable[[Tensor], Tensor], mined: Callable[[Tensor], Hardest]) -> None:
    check_pae_loss(case, ("feat",), loss)
    pairs = mined(tensor(case.arrays["in/feat"], torch.float64))
    assert int((pairs.negative >= pairs.positive).sum()) == int(case.arrays["out64/num_correct"])


@adapter("pae", "hetero_center_triplet")
def hetero_center_triplet(case: Case) -> None:
    labels, loss = tensor(case.arrays["in/labels"]), HeteroCenterTriplet(margin=case.params["margin"])
    modality = two_modalities(len(labels))

    def mined(features: Tensor) -> Hardest:
        first = groups(labels, modality).first
        centers = group_means(features, groups(labels, modality).same)[first]
        return hardest(distances(centers), groups(labels[first]).same)

    check_triplet(case, lambda features: loss(features, labels, modality), mined)


@adapter("pae", "hard_triplet")
def hard_triplet(case: Case) -> None:
    labels, loss = tensor(case.arrays["in/labels"]), BatchHardTriplet(margin=case.params["margin"])
    together = groups(labels).same
    mined = lambda features: hardest(distances(features), together)  # noqa: E731
    check_triplet(case, lambda features: loss(features, labels), mined)


def released_weighted(case: Case) -> WeightedRegularizedTriplet:
    return WeightedRegularizedTriplet(released_eps=True, normalize=case.params["normalize_feature"])


@adapter("pae", "wrt_triplet")
def wrt_triplet(case: Case) -> None:
    """The number of right anchors that the release logs has no counterpart here."""
    labels, loss = tensor(case.arrays["in/labels"]), released_weighted(case)
    check_pae_loss(case, ("feat",), lambda features: loss(features, labels))


@adapter("pae", "label_smooth_ce")
def label_smooth_ce(case: Case) -> None:
    labels, loss = tensor(case.arrays["in/labels"]), IdentityCrossEntropy(smoothing=case.params["epsilon"])
    check_pae_loss(case, ("logits",), lambda logits: loss(logits, labels))


@adapter("pae", "gem")
def gem(case: Case) -> None:
    pool = GeM(p=case.params["p"])
    for bits, dtype in PRECISIONS.items():
        x = leaf(case.arrays["in/x"], dtype)
        for pooled in (pool(x), generalized_mean(x, case.params["p"], eps=case.params["eps"])):
            same(pooled, case.arrays["train/out64/pooled"], case.tolerance[f"f{bits}_vs_out64"], f"float{bits}")
            (grad,) = torch.autograd.grad((pooled * tensor(case.arrays["train/probe/pooled"], dtype)).sum(), x)
            same(grad, case.arrays["train/grad64/x"], case.tolerance[f"grad_f{bits}"], f"gradient, float{bits}")


# -- the head of HCT, MMD-ReID and AGW, run through the network that joins pool, head and descriptor ------------------


class GivenMap(nn.Module):
    """A backbone whose images are the map already."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor, modality: Tensor) -> tuple[Tensor, None]:
        return images, None


def batch_of(feature_map: Tensor) -> Batch:
    zeros = torch.zeros(len(feature_map), dtype=torch.long)
    return Batch(feature_map, zeros, zeros, zeros, zeros, zeros)


def released_head(weights: Mapping[str, np.ndarray], pool: nn.Module, dtype: torch.dtype) -> CrossModalityNet:
    """Released names are bottleneck.* (the neck) and classifier.weight."""
    classes, channels = weights["classifier.weight"].shape
    head = IdentityHead(num_ids=classes, channels=channels)
    net = CrossModalityNet(backbone=GivenMap(channels), pool=pool, heads={"id": head}).to(dtype)
    values = {name.replace("bottleneck.", "neck."): tensor(value, dtype) for name, value in weights.items()}
    head.load_state_dict(values)
    head.neck.bias.requires_grad_()  # frozen in training; some cases list its gradient
    return net


def outputs(net: CrossModalityNet, x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """The released pair: pooled and logits in training, both descriptors at length 1 in evaluation."""
    out = net.train(mode == "train")(batch_of(x)).values
    if mode == "train":
        return out["features"], out["logits"]
    same(net.embed(batch_of(x)), l2_normalize(out["features_bn"]).detach().numpy(), {"rtol": 1e-6}, "describe")
    return l2_normalize(out["features"]), l2_normalize(out["features_bn"])


def gradient_of(net: CrossModalityNet, released_name: str) -> Tensor | None:
    return net.heads["id"].get_parameter(released_name.replace("bottleneck.", "neck.")).grad


@adapter("pae", "global_head")
def global_head(case: Case) -> None:
    weights = {key.removeprefix("state/"): value for key, value in case.arrays.items() if key.startswith("state/")}
    names = {"eval": ("pooled_l2", "neck_l2"), "train": ("pooled", "logits")}
    for bits, dtype in PRECISIONS.items():
        for mode in ("eval", "train"):
            net, x = released_head(weights, GeM(p=3.0), dtype), leaf(case.arrays["in/x"], dtype)
            results = outputs(net, x, mode)
            probes = [tensor(case.arrays[f"{mode}/probe/{name}"], dtype) for name in names[mode]]
            sum((result * probe).sum() for result, probe in zip(results, probes, strict=True)).backward()
            for name, result in zip(names[mode], results, strict=True):
                stored = case.arrays[f"{mode}/out64/{name}"]
                same(result, stored, case.tolerance[f"f{bits}_vs_out64"], f"{mode} {name}, float{bits}")
            loose = case.tolerance[f"grad_f{bits}"]
            same(x.grad, case.arrays[f"{mode}/grad64/x"], loose, f"{mode} gradient of x, float{bits}")
            check_stored(case, f"{mode}/gradw64/", lambda name, net=net: gradient_of(net, name), loose)
            check_stored(
                case,
                f"{mode}/state_after64/",
                lambda name, net=net: net.heads["id"].neck.get_buffer(name.removeprefix("bottleneck.")),
                case.tolerance[f"f{bits}_vs_out64"],
            )


def check_stored(
    case: Case,
    prefix: str,
    ours: Callable[[str], Tensor | None],
    tolerance: Mapping[str, float] | Callable[[str, np.ndarray], Mapping[str, float]],
) -> None:
    """Compare each stored array of this prefix; `tolerance` may depend on its released name and its values."""
    for key, stored in case.arrays.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            same(ours(name), stored, tolerance(name, stored) if callable(tolerance) else tolerance, key)


# -- agw -------------------------------------------------------------------------------------------------------------

AGW_LOSS = {torch.float64: {"rtol": 1e-10, "atol": 1e-12}, torch.float32: {"rtol": 2e-5, "atol": 2e-6}}
AGW_HEAD = {torch.float64: {"rtol": 1e-9, "atol": 1e-11}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def check_agw_loss(case: Case, loss: nn.Module) -> None:
    labels = tensor(case.arrays["in_y"])
    for dtype, tolerance in AGW_LOSS.items():
        x = leaf(case.arrays["in_x"], dtype)
        value = loss(x, labels)
        value.backward()
        same(value, case.arrays["out_loss"], tolerance, f"loss, {dtype}")
        same(x.grad, case.arrays["grad_x"], tolerance, f"gradient, {dtype}")


@adapter("agw", "loss_hard_triplet")
def loss_hard_triplet(case: Case) -> None:
    check_agw_loss(case, BatchHardTriplet(margin=case.params["margin"]))
    pairs = hardest(distances(tensor(case.arrays["in_x"], torch.float64)), groups(tensor(case.arrays["in_y"])).same)
    assert int((pairs.negative >= pairs.positive).sum()) == int(case.arrays["out_correct"])


@adapter("agw", "loss_wrt")
def loss_wrt(case: Case) -> None:
    """The number of right anchors that the release logs has no counterpart here."""
    check_agw_loss(case, released_weighted(case))


@adapter("agw", "pdist")
def pdist(case: Case) -> None:
    for dtype, tolerance in {torch.float64: {"rtol": 1e-12, "atol": 1e-12}, torch.float32: {"rtol": 1e-5}}.items():
        a, b = tensor(case.arrays["in_a"], dtype), tensor(case.arrays["in_b"], dtype)
        same(distances(a, b), case.arrays["out_f64"], tolerance, f"two sets, {dtype}")
    a = tensor(case.arrays["in_a"], torch.float64)
    # the release's own rounding leaves up to 1e-15 under the root of its diagonal, clamped to 1e-12 as ours
    same(distances(a), case.arrays["out_self_f64"], {"rtol": 1e-12, "atol": 1e-12}, "one set")


@adapter("agw", "mod_head")
def mod_head(case: Case) -> None:
    pool = AveragePool() if case.params["p"] is None else GeM(p=case.params["p"])
    weights = {key.removeprefix("w_"): value for key, value in case.arrays.items() if key.startswith("w_")}
    for dtype, tolerance in AGW_HEAD.items():
        for mode in ("eval", "train"):
            net, x = released_head(weights, pool, dtype), leaf(case.arrays["in_x"], dtype)
            results = outputs(net, x, mode)
            cotangents = [tensor(case.arrays[f"cot{i}_{mode}"], dtype) for i in (0, 1)]
            sum((result * cotangent).sum() for result, cotangent in zip(results, cotangents, strict=True)).backward()
            for i, result in enumerate(results):
                same(result, case.arrays[f"out{i}_{mode}"], tolerance, f"{mode} output {i}, {dtype}")
            same(x.grad, case.arrays[f"grad_x_{mode}"], tolerance, f"{mode} gradient of x, {dtype}")
            for key, stored in case.arrays.items():
                if key.startswith("gradw_") and key.endswith(f"_{mode}"):
                    name = key.removeprefix("gradw_").removesuffix(f"_{mode}")
                    same(gradient_of(net, name), stored, tolerance, f"{key}, {dtype}")
                if key.startswith("buf_") and key.endswith(f"_after_{mode}"):
                    name = key.removeprefix("buf_bottleneck.").removesuffix(f"_after_{mode}")
                    same(net.heads["id"].neck.get_buffer(name), stored, tolerance, f"{key}, {dtype}")


# -- mpa: triplets that other methods share --------------------------------------------------------------------------

MPA_LOSS = {torch.float64: {"rtol": 1e-6, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def check_mpa_triplet(case: Case, loss: nn.Module) -> None:
    labels = tensor(case.arrays["labels"])
    for dtype, tolerance in MPA_LOSS.items():
        x = leaf(case.arrays["x"], dtype)
        value = loss(x, labels)
        value.backward()
        same(value, case.arrays["loss"], tolerance, f"loss, {dtype}")
        same(x.grad, case.arrays["grad_x"], tolerance, f"gradient, {dtype}")


@adapter("mpa", "mclnet_triplet_hard", "mpanet_triplet")
def mpa_triplet_hard(case: Case) -> None:
    check_mpa_triplet(case, BatchHardTriplet(margin=case.params["margin"]))
    same_identity = groups(tensor(case.arrays["labels"])).same
    pairs = hardest(distances(tensor(case.arrays["x"], torch.float64)), same_identity)
    if "correct" in case.arrays:
        assert int((pairs.negative >= pairs.positive).sum()) == int(case.arrays["correct"])
    for name, ours in {"dist_ap": pairs.positive, "dist_an": pairs.negative}.items():
        if name in case.arrays:
            same(ours, case.arrays[name], MPA_LOSS[torch.float64], name)


@adapter("mpa", "mclnet_triplet_wrt")
def mclnet_triplet_wrt(case: Case) -> None:
    """The number of right anchors that the release logs has no counterpart here."""
    check_mpa_triplet(case, released_weighted(case))
