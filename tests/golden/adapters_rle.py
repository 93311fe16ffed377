"""Golden adapters of RLE (augmentations, head, networks, schedule, scores) and of the frequency augmentations.

Weights of networks come from the recipe of the index, under the released names, and go through the importer of released
checkpoints into the network that the shipped config describes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_losses import leaf, same, tensor
from runner import Case, adapter
from torch import Tensor, nn

import vireid
from vireid.config import Build, load_checked
from vireid.core.types import Batch, DatasetInfo, Modality, ModelOutput, Progress
from vireid.data.augment.frequency import (
    low_statistics,
    mix_amplitude,
    mix_bands,
    set_low_statistics,
    square_window,
)
from vireid.data.augment.linear_enhancement import channel_weights, mix_to_gray, scale_rectangles
from vireid.data.augment.pixels import sides
from vireid.engine.optim import SGD, apply_schedule
from vireid.interop import released
from vireid.layers.norms import l2_normalize
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.global_parts import GlobalPartHead
from vireid.models.heads.joined import JoinedEmbedding
from vireid.zoo.models import config_path

Tolerances = Mapping[torch.dtype, Mapping[str, float]]
RLE: Tolerances = {torch.float64: {"rtol": 1e-12, "atol": 1e-15}, torch.float32: {"rtol": 0, "atol": 1e-6}}
FREQUENCY: Tolerances = {torch.float64: {"rtol": 1e-9, "atol": 1e-10}, torch.float32: {"rtol": 0, "atol": 1e-5}}

# -- random linear enhancement -----------------------------------------------------------------------------------------


@adapter("mcja", "rle_moderate")
def rle_moderate(case: Case) -> None:
    weights = channel_weights(tensor(case.arrays["draws"]))
    same(weights, case.arrays["weights"], RLE[torch.float64], "weights")
    for dtype, tolerance in RLE.items():
        same(mix_to_gray(tensor(case.arrays["images"], dtype), weights), case.arrays["out"], tolerance, f"{dtype}")


@adapter("mcja", "rle_radical")
def rle_radical(case: Case) -> None:
    arrays = case.arrays
    boxes, size = tensor(arrays["boxes"]), tuple(arrays["images"].shape[-2:])
    area, aspect = tensor(arrays["area_aspect"]).unbind(dim=2)
    tall, wide, fits = sides(area, aspect, size)
    assert fits.all()
    assert torch.equal(tall, boxes[..., 1] - boxes[..., 0])
    assert torch.equal(wide, boxes[..., 3] - boxes[..., 2])
    for dtype, tolerance in RLE.items():
        images, peaks = tensor(arrays["images"], dtype), tensor(arrays["alphas"])
        ours, used = scale_rectangles(images, boxes, peaks, floor=case.params["min_out"])
        assert used.tolist() == arrays["used"].tolist()
        same(ours, arrays["out"], tolerance, f"{dtype}")


# -- frequency ---------------------------------------------------------------------------------------------------------


@adapter("mcja", "freq_amplitude_swap")
def freq_amplitude_swap(case: Case) -> None:
    size = tuple(case.arrays["a"].shape[-2:])
    window = square_window(size, int(case.params["beta"] * min(size)), torch.device("cpu"))
    for dtype, tolerance in FREQUENCY.items():
        a, b = (tensor(case.arrays[name], dtype) for name in ("a", "b"))
        same(mix_amplitude(a, b, window), case.arrays["out_a"], tolerance, f"phase of a, {dtype}")
        same(mix_amplitude(b, a, window), case.arrays["out_b"], tolerance, f"phase of b, {dtype}")


def corner_window(size: tuple[int, int], radius: int) -> Tensor:
    """The four corner blocks of a whole spectrum, as a window of the half spectrum with the same real part.

    The real part of an inverse transform is that of the mean of the weights of each frequency and its negative.
    """
    rows, columns = (torch.arange(side) for side in size)
    inside = [(each < radius) | (each >= side - radius) for each, side in zip((rows, columns), size)]
    whole = (inside[0][:, None] & inside[1]).double()
    negative = whole[-rows % size[0]][:, -columns % size[1]]
    return ((whole + negative) / 2)[:, : size[1] // 2 + 1]


@adapter("mcja", "freq_amplitude_mix_corner")
def freq_amplitude_mix_corner(case: Case) -> None:
    size = tuple(case.arrays["a"].shape[-2:])
    window = corner_window(size, int(case.params["beta"] * min(size)))
    a, b = (tensor(case.arrays[name], torch.float64) for name in ("a", "b"))
    ours = mix_amplitude(a, b, window, share=case.params["lam"])
    same(ours, case.arrays["out"], FREQUENCY[torch.float64], "images")


@adapter("mcja", "freq_band_gray")
def freq_band_gray(case: Case) -> None:
    images, weights = tensor(case.arrays["images"], torch.float64), tensor(case.arrays["weights"])
    assert weights.shape[1] == case.params["N"]
    same(mix_bands(images, weights), case.arrays["out"], {"rtol": 1e-5, "atol": 1e-6}, "images")


@adapter("mcja", "freq_low_statistics")
def freq_low_statistics(case: Case) -> None:
    """Rows: visible images, then their infrared partners in the same order."""
    images, ratio = tensor(case.arrays["images"], torch.float64), case.params["ratio"]
    visible, infrared = images.chunk(2)
    noise = [tensor(case.arrays[name])[:, None] * case.params["alpha"] for name in ("noise_mean", "noise_std")]
    mean, deviation = (value + shift * value.std(dim=0) for value, shift in zip(low_statistics(infrared, ratio), noise))
    ours = set_low_statistics(visible, mean, deviation, ratio).clamp(0, 1)
    same(ours, case.arrays["out_visible"], {"rtol": 1e-6, "atol": 1e-7}, "images")


# -- head, network, losses ---------------------------------------------------------------------------------------------

NETWORKS = {"sysu": ("rle", "sysu/rle"), "regdb": ("rle_regdb", "regdb/rle")}
EXACT, FLOAT32 = {"rtol": 1e-7, "atol": 1e-12}, {"rtol": 1e-4, "atol": 1e-5}


def recipe(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Every tensor from a generator of its own; the index of `golden_mcja.json` gives the rules."""
    return {
        name: torch.from_numpy(np.asarray(_values(name, shapes[name], np.random.default_rng([seed, number]))))
        for number, name in enumerate(sorted(shapes))
    }


def _values(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = generator.standard_normal(shape)
    if name.endswith("running_mean"):
        z = 0.1 * z
    elif name.endswith("running_var"):
        z = 1 + 0.1 * np.abs(z)
    elif len(shape) >= 3:
        z = z * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        z = z / np.sqrt(shape[1])
    elif name.endswith("bn3.weight"):
        z = 0.25 * (1 + 0.1 * z)
    else:
        z = 1 + 0.1 * z if name.endswith("weight") else 0.1 * z
    return z.astype(np.float32)


def network(case: Case) -> CrossModalityNet:
    """The network of the shipped config, in float64; unused tensors of the release are left out of the recipe."""
    model, config = NETWORKS[case.params["dataset"]]
    classes, found = case.params["num_classes"], released.release(model)
    shapes = {key.name: tuple(classes if size == found.num_ids else size for size in key.shape) for key in found.keys}
    weights = recipe(shapes, case.params["recipe_seed"])
    net = vireid.create_model(config, num_ids=classes)
    net.load_state_dict(released.to_ours(model, {key.name: weights[key.name] for key in found.keys if key.used}))
    return net.double()


def first_half_visible(images: Tensor, labels: Tensor | None = None) -> Batch:
    modality = torch.tensor([Modality.VISIBLE, Modality.INFRARED]).repeat_interleave(len(images) // 2)
    zeros = torch.zeros_like(modality)
    return Batch(images, zeros if labels is None else labels, modality, zeros, zeros, zeros)


def objective_of(config: str, classes: int, net: CrossModalityNet) -> Objective:
    return Build(load_checked(config_path(config)), DatasetInfo(num_ids=classes, num_cameras=6)).objective(net)


def check_terms(case: Case, total: Tensor, logged: Mapping[str, Tensor], tolerance: Mapping[str, float]) -> None:
    """Terms of thirds are stored as means; ours are sums with the weight 1/3."""
    ours = {
        "id_parts": logged["part_id"] / 3,
        "id_global": logged["id"],
        "triplet_parts": logged["part_triplet"] / 3,
        "triplet_global": logged["triplet"],
        "loss": total,
    }
    for name, value in ours.items():
        same(value, case.arrays[name], tolerance, name)


@adapter("mcja", "rle_head")
def rle_head(case: Case) -> None:
    """Head and objective behind a stored map; gradients of the map, necks and classifiers."""
    arrays, params = case.arrays, case.params
    classes, channels = params["num_classes"], arrays["feature_map"].shape[1]
    weights = recipe({name: tuple(shape) for name, shape in params["keys_shapes"].items()}, params["recipe_seed"])
    joined = {
        f"neck.{kind}": torch.cat([weights[f"bottleneck{branch}.{kind}"] for branch in "123g"])
        for kind in ("weight", "bias", "running_mean", "running_var")
    }
    joined["neck.num_batches_tracked"] = torch.tensor(0)
    joined["part_classifier.weight"] = torch.stack([weights[f"classifier{branch}.weight"] for branch in "123"])
    joined["classifier.weight"] = weights["classifierg.weight"]
    objective = objective_of("rle", classes, vireid.create_model("rle", num_ids=classes, arch="test_resnet"))
    assert objective.get_submodule("triplet").margin == params["margin"]
    for dtype, tolerance in {torch.float64: EXACT, torch.float32: FLOAT32}.items():
        head = GlobalPartHead(num_parts=3, num_ids=classes, channels=channels)
        head.load_state_dict(joined)
        head.to(dtype).eval()
        given = leaf(arrays["feature_map"], dtype)
        out = head(given, given.mean(dim=(2, 3)))
        same(l2_normalize(out["features"]), arrays["eval_pool"], tolerance, f"pooled, evaluation, {dtype}")
        same(l2_normalize(out["features_bn"]), arrays["eval_bn"], tolerance, f"necks, evaluation, {dtype}")
        head.train()
        pooled = given.mean(dim=(2, 3))
        out = head(given, pooled)
        batch = first_half_visible(torch.zeros(len(given)), tensor(arrays["labels"]))
        total, logged = objective(batch, ModelOutput({**out, "pooled": pooled}), Progress())
        total.backward()
        check_terms(case, total, logged, tolerance)
        same(given.grad, arrays["grad_map"], tolerance, f"gradient of the map, {dtype}")
        gradients = [*head.neck.weight.grad.chunk(4)], [*head.part_classifier.weight.grad, head.classifier.weight.grad]
        for number, branch in enumerate("123g"):
            features = out["part_features"][:, number] if number < 3 else pooled
            logits = out["part_logits"][:, number] if number < 3 else out["logits"]
            same(features, arrays[f"feat_{branch}"], tolerance, f"features {branch}, {dtype}")
            same(logits, arrays[f"logits_{branch}"], tolerance, f"logits {branch}, {dtype}")
            for name, each in zip(("bottleneck", "classifier"), gradients):
                same(each[number], arrays[f"grad_{name}{branch}"], tolerance, f"gradient of {name}{branch}, {dtype}")


@adapter("mcja", "rle_model_eval")
def rle_model_eval(case: Case) -> None:
    net, stride = network(case).eval(), case.params["col_stride"]
    images = tensor(case.arrays["image"], torch.float64)
    fields = {"pool": "features", "bn": "features_bn"}
    with torch.no_grad():
        both = first_half_visible(images)
        for suffix, batch in {"": both, "_visible": both.select(both.modality == Modality.VISIBLE)}.items():
            values = net(batch).values
            for name, field in fields.items():
                ours, stored = l2_normalize(values[field])[:, ::stride], case.arrays[f"{name}{suffix}"]
                same(ours, stored, {"rtol": 1e-6, "atol": 1e-9}, f"{name}{suffix}")
        values = net.float()(both.with_images(images.float())).values
        for name, field in fields.items():
            ours, stored = l2_normalize(values[field])[:, ::stride].double(), tensor(case.arrays[name])
            assert (torch.cosine_similarity(ours, stored) > 0.9999).all(), f"{name}, float32"


@adapter("mcja", "rle_model_train")
def rle_model_train(case: Case) -> None:
    arrays, net, stride = case.arrays, network(case).train(), case.params["col_stride"]
    images = leaf(arrays["image"], torch.float64)
    batch = first_half_visible(images, tensor(arrays["labels"]))
    assert int((batch.modality == Modality.VISIBLE).sum()) == case.params["n"]
    out = net(batch)
    total, logged = objective_of(NETWORKS[case.params["dataset"]][1], case.params["num_classes"], net)(
        batch, out, Progress()
    )
    total.backward()
    tolerance = {"rtol": 1e-5, "atol": 1e-9}
    check_terms(case, total, logged, tolerance)
    values = out.values
    pooled = torch.cat([values["part_features"], values["pooled"].unsqueeze(1)], dim=1)
    logits = torch.cat([values["part_logits"], values["logits"].unsqueeze(1)], dim=1)
    same(pooled[..., ::stride], arrays["pooled"], tolerance, "pooled")
    same(logits, arrays["logits"], tolerance, "logits")
    stored = arrays["grad_image"]
    assert images.grad is not None
    same(
        images.grad[..., ::4], stored, {"rtol": 0, "atol": 1e-4 * float(np.abs(stored).max())}, "gradient of the images"
    )


# -- schedule and scores -----------------------------------------------------------------------------------------------


@adapter("mcja", "rle_schedule")
def rle_schedule(case: Case) -> None:
    """Rates of the shipped config, in every epoch."""
    build = Build(load_checked(config_path("rle")), DatasetInfo(num_ids=3, num_cameras=6))
    solver = build.config.SOLVER
    assert case.params["lr"] == solver.LR
    assert len(case.arrays["lr"]) == solver.EPOCHS
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "scale": each} for each in (1.0, solver.LR_SCALE["backbone"])]
    optimizer, schedule = SGD(groups, lr=case.params["lr"]), build.lr_schedule()
    for epoch, stored in enumerate(zip(case.arrays["lr"], case.arrays["lr_backbone"])):
        apply_schedule(optimizer, schedule, epoch)
        np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], stored, rtol=1e-12)


@adapter("mcja", "rle_fused_scores")
def rle_fused_scores(case: Case) -> None:
    """Similarities of joined embeddings, each with that of the mirror image added.

    The stored vectors have length 1 only up to float32; ours are multiplied by the stored lengths.
    """

    def joined(name: str, view: str, share: float) -> Tensor:
        pair = [tensor(case.arrays[f"{name}_{kind}{view}"], torch.float64) for kind in ("pool", "bn")]
        rows = JoinedEmbedding(share_bn=share, feature_dim=pair[0].shape[1])(*pair)["features_joined"]
        lengths = torch.stack([each.norm(dim=1) for each in pair], dim=1).unsqueeze(2)
        return (rows.unflatten(1, (2, -1)) * lengths).flatten(1)

    for name, share, factor in (("scores", case.params["a"], 1), ("scores_sum", 0.5, 2)):
        queries, gallery = (joined(side, "", share) + joined(side, "_flip", share) for side in "qg")
        same(factor * queries @ gallery.T, case.arrays[name], EXACT, name)
