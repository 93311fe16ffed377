"""Golden adapters of MCJA: soft ranks, loss, insert, head, networks, augmentations, sampler, schedule, re-ranking."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from adapters_losses import leaf, same, tensor
from adapters_rle import objective_of, recipe
from runner import Case, adapter
from torch import Tensor, nn

import vireid
from vireid.config import Build, load_checked
from vireid.core.types import Batch, DatasetInfo, Modality, ModelOutput, Progress
from vireid.data.augment.color import copy_channels
from vireid.data.augment.jitter import rotate_hue
from vireid.data.augment.linear_enhancement import channel_weights
from vireid.data.augment.spectrum import jitter_spectrum, mix_boxes, weighted_gray
from vireid.data.samplers.identity import released_identity_blocks
from vireid.engine.optim import Adam, apply_schedule
from vireid.interop import released
from vireid.layers.soft_rank import soft_rank
from vireid.losses.retrieval import CrossModalityRetrieval
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.identity import IdentityHead
from vireid.models.inserts.distribution import ModalityDistributionBlock
from vireid.models.pooling import GeM
from vireid.retrieval.rerank.multi_spectral import MultiSpectral
from vireid.zoo.models import config_path

Tolerances = Mapping[torch.dtype, Mapping[str, float]]
PRECISIONS: Tolerances = {torch.float64: {"rtol": 1e-7, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}

# -- loss and insert ---------------------------------------------------------------------------------------------------


def separate_blocks(values: np.ndarray, ranks: np.ndarray, strength: float) -> np.ndarray:
    """Rows without two blocks that nearly merge, whose gradient depends on rounding: (N,) bool."""
    levels = np.sort(values.astype(np.float64) / strength - ranks, axis=1)
    gaps = np.diff(levels, axis=1)
    return np.all((gaps < 1e-9) | (gaps > 1e-3), axis=1)


@adapter("mcja", "mcja_soft_rank")
def mcja_soft_rank(case: Case) -> None:
    """Float32: in rows with separate blocks; gradients up to 1e-4 of the largest."""
    arrays, strength = case.arrays, case.params["strength"]
    separate = separate_blocks(arrays["values"], arrays["ranks"], strength)
    largest = float(np.abs(arrays["grad_values"]).max())
    for dtype, tolerance in PRECISIONS.items():
        values = leaf(arrays["values"], dtype)
        ranks = soft_rank(values, strength=strength)
        (ranks * tensor(arrays["upstream"], dtype)).sum().backward()
        assert values.grad is not None
        single = dtype == torch.float32
        rows = separate if single else np.ones_like(separate)
        same(ranks[rows], arrays["ranks"][rows], tolerance, f"ranks, {dtype}")
        tolerance = {"rtol": 1e-4, "atol": 1e-4 * largest} if single else tolerance
        same(values.grad[rows], arrays["grad_values"][rows], tolerance, f"gradient, {dtype}")


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


# -- augmentations and sampler -----------------------------------------------------------------------------------------


def check_pixels(ours: Tensor, stored: np.ndarray, what: str = "images") -> None:
    np.testing.assert_array_equal(ours.numpy(), stored, err_msg=what)


@adapter("mcja", "mcja_weighted_gray")
def mcja_weighted_gray(case: Case) -> None:
    weights = channel_weights(tensor(case.arrays["draws"]))
    same(weights, case.arrays["weights"], {"rtol": 1e-12}, "weights")
    check_pixels(weighted_gray(tensor(case.arrays["images"]), weights), case.arrays["out"])


@adapter("mcja", "mcja_channel_cutmix")
def mcja_channel_cutmix(case: Case) -> None:
    top, left, tall, wide, background, patch = tensor(case.arrays["draws"]).unbind(dim=1)
    boxes = torch.stack([top, top + tall, left, left + wide], dim=1)
    check_pixels(mix_boxes(tensor(case.arrays["images"]), boxes, background, patch), case.arrays["out"])


@adapter("mcja", "mcja_spectrum_jitter")
def mcja_spectrum_jitter(case: Case) -> None:
    images, channel, factor = (tensor(case.arrays[name]) for name in ("images", "channel", "factor"))
    check_pixels(jitter_spectrum(images, channel, factor), case.arrays["out"])


@adapter("mcja", "mcja_hue")
def mcja_hue(case: Case) -> None:
    check_pixels(rotate_hue(tensor(case.arrays["images"]), tensor(case.arrays["factor"])), case.arrays["out"])


@adapter("mcja", "mcja_channel_select")
def mcja_channel_select(case: Case) -> None:
    """The mean of the channels is not a variant of the toolkit; it is a weighted gray image with equal weights."""
    images = tensor(case.arrays["images"])
    for channel, name in enumerate("rgb"):
        check_pixels(copy_channels(images, torch.full((len(images),), channel)), case.arrays[f"out_{name}"], name)
    # thirds are not exact in binary: 1e-9 keeps the mean of a whole number of gray levels above it
    thirds = torch.full((len(images), 3), 1 / 3 + 1e-9, dtype=torch.float64)
    check_pixels(weighted_gray(images, thirds), case.arrays["out_avg"], "mean")


@adapter("mcja", "mcja_sampler")
@adapter("mpa", "mpanet_sampler_norm_triplet")
def mcja_sampler(case: Case) -> None:
    params, state = case.params, np.random.RandomState(case.params["seed"])
    for epoch in ("epoch1", "epoch2"):
        rows = released_identity_blocks(
            case.arrays["ids"], identities=params["p"], per_identity=params["k"], state=state
        )
        np.testing.assert_array_equal(rows.ravel(), case.arrays[epoch], err_msg=epoch)


# -- head, networks, schedule ------------------------------------------------------------------------------------------

TRAINING, FLOAT32 = {"rtol": 1e-5, "atol": 1e-9}, {"rtol": 1e-4, "atol": 1e-5}
INFRARED_CAMERAS = (3, 6)


def batch_of(case: Case, images: Tensor) -> Batch:
    """Rows in the stored order; the cameras give the modality."""
    labels, cameras = tensor(case.arrays["labels"]), tensor(case.arrays["cameras"])
    infrared = torch.isin(cameras, torch.tensor(INFRARED_CAMERAS))
    modality = torch.where(infrared, int(Modality.INFRARED), int(Modality.VISIBLE))
    zeros = torch.zeros_like(labels)
    return Batch(images, labels, modality, cameras, zeros, zeros)


def check_losses(case: Case, total: Tensor, logged: Mapping[str, Tensor], tolerance: Mapping[str, float]) -> None:
    for name, value in {"loss": total, "loss_id": logged["id"], "loss_cmr": logged["retrieval"]}.items():
        same(value, case.arrays[name], tolerance, name)


@adapter("mcja", "mcja_head")
def mcja_head(case: Case) -> None:
    """Pool, head and objective of the shipped config behind a stored map."""
    arrays, classes = case.arrays, case.params["num_classes"]
    weights = recipe(
        {name: tuple(shape) for name, shape in case.params["keys_shapes"].items()}, case.params["recipe_seed"]
    )
    objective = objective_of("mcja", classes, vireid.create_model("mcja", num_ids=classes, arch="test_resnet"))
    for dtype, tolerance in {torch.float64: PRECISIONS[torch.float64], torch.float32: FLOAT32}.items():
        pool, head = GeM(), IdentityHead(num_ids=classes, channels=arrays["feature_map"].shape[1], plain_start=True)
        head.load_state_dict({name.replace("bn_neck", "neck"): value for name, value in weights.items()})
        head.to(dtype).eval()
        feature_map = leaf(arrays["feature_map"], dtype)
        same(head(pool(feature_map))["features_bn"], arrays["eval_bn"], tolerance, f"evaluation, {dtype}")
        pooled = pool(feature_map)
        out = ModelOutput({**head.train()(pooled), "pooled": pooled})
        total, logged = objective(batch_of(case, torch.zeros(len(pooled))), out, Progress())
        total.backward()
        check_losses(case, total, logged, tolerance)
        same(feature_map.grad, arrays["grad_map"], tolerance, f"gradient of the map, {dtype}")
        same(head.neck.weight.grad, arrays["grad_neck"], tolerance, f"gradient of the neck, {dtype}")
        same(head.classifier.weight.grad, arrays["grad_classifier"], tolerance, f"gradient of the classifier, {dtype}")
        for name in ("running_mean", "running_var"):
            same(head.neck.get_buffer(name), arrays[f"after_{name}"], tolerance, f"{name}, {dtype}")


def network(case: Case) -> CrossModalityNet:
    """The network of the shipped config, in float64; tensors without counterpart are left out of the recipe."""
    classes, maps, found = case.params["num_classes"], case.params["m"], released.release("mcja")

    def shape_of(key: released.Key) -> tuple[int, ...]:
        axis = {"sc_conv.weight": 0, "sc_conv.bias": 0, "ca_conv.weight": 2}.get(key.name.partition(".")[2][2:])
        sizes = [classes if size == found.num_ids else size for size in key.shape]
        return tuple(maps if number == axis else size for number, size in enumerate(sizes))

    weights = recipe({key.name: shape_of(key) for key in found.keys}, case.params["recipe_seed"])
    stages = {f"MODEL.BACKBONE.INSERTS.STAGE{stage}.MAPS": maps for stage in (2, 3)}
    stride = {"MODEL.BACKBONE.LAST_STRIDE": 1 if case.params["drop_last_stride"] else 2}
    config = load_checked(config_path("sysu/mcja"), {"MODEL.BACKBONE.PRETRAINED": False, **stride, **stages})
    net = Build(config, DatasetInfo(num_ids=classes, num_cameras=6)).model(weights=False)
    net.load_state_dict(released.to_ours("mcja", {key.name: weights[key.name] for key in found.keys if key.used}))
    return net.double()


def behind_inserts(net: nn.Module, seen: dict[str, Tensor]) -> None:
    """Record the output of each adapter under the name of its stored summary."""
    counts: dict[str, int] = {}
    for name, module in net.named_modules():
        if not isinstance(module, ModalityDistributionBlock):
            continue
        stage = name.split(".")[-2].removeprefix("stage")
        number = counts[stage] = counts.get(stage, -1) + 1

        def keep(module: nn.Module, inputs: tuple, out: Tensor, key: str = f"tap_{stage}_{number}") -> None:
            seen[key] = torch.stack([out.mean(), out.std(), out.abs().amax()])

        module.register_forward_hook(keep)


@adapter("mcja", "mcja_model_eval")
def mcja_model_eval(case: Case) -> None:
    net, images, seen = network(case).eval(), tensor(case.arrays["image"], torch.float64), {}
    behind_inserts(net, seen)
    zeros = torch.zeros(len(images), dtype=torch.int64)
    batch = Batch(images, zeros, zeros, zeros, zeros, zeros)
    with torch.no_grad():
        same(net(batch).values["features_bn"], case.arrays["feat"], {"rtol": 1e-6, "atol": 1e-9}, "features")
        taps = {name for name in case.arrays if name.startswith("tap_")}
        assert set(seen) == taps
        for name in sorted(taps):
            same(seen[name], case.arrays[name], {"rtol": 1e-6}, name)
        half = net.float()(batch.with_images(images.float())).values["features_bn"].double()
    assert (torch.cosine_similarity(half, tensor(case.arrays["feat"])) > 0.9999).all()


@adapter("mcja", "mcja_model_train")
def mcja_model_train(case: Case) -> None:
    arrays, net, stride = case.arrays, network(case).train(), case.params["col_stride"]
    images = leaf(arrays["image"], torch.float64)
    batch = batch_of(case, images)
    out = net(batch)
    total, logged = objective_of("sysu/mcja", case.params["num_classes"], net)(batch, out, Progress())
    total.backward()
    check_losses(case, total, logged, TRAINING)
    same(out.values["pooled"][:, ::stride], arrays["pooled"], TRAINING, "pooled")
    same(out.values["features_bn"][:, ::stride], arrays["bn"], TRAINING, "neck")
    parameters = {name: each.grad for name, each in net.named_parameters() if each.requires_grad}
    classifier = parameters["heads.id.classifier.weight"]
    assert images.grad is not None
    assert classifier is not None
    gradients = {"grad_image": images.grad[..., ::4], "grad_classifier": classifier[:, ::stride]}
    # the first adapter of stage 2 and the last one of stage 3
    for kind, name in (("grad_sc_conv", "stage2.2_insert.attend"), ("grad_norm_bn", "stage3.5_insert.norm")):
        gradient = parameters[f"backbone.shared.{name}.weight"]
        assert gradient is not None
        gradients[kind] = gradient
    for name, ours in gradients.items():
        same(ours, arrays[name], {"rtol": 0, "atol": 1e-4 * float(np.abs(arrays[name]).max())}, name)


@adapter("mcja", "mcja_schedule")
def mcja_schedule(case: Case) -> None:
    """Rates of the shipped configs, in every epoch."""
    for dataset in ("sysu", "regdb"):
        build = Build(load_checked(config_path(f"{dataset}/mcja")), DatasetInfo(num_ids=3, num_cameras=6))
        solver, stored = build.config.SOLVER, case.arrays[f"lr_{dataset}"]
        assert (case.params["lr"], len(stored)) == (solver.LR, solver.EPOCHS)
        optimizer = Adam([{"params": [nn.Parameter(torch.zeros(1))]}], lr=solver.LR)
        for epoch, rate in enumerate(stored):
            apply_schedule(optimizer, build.lr_schedule(), epoch)
            np.testing.assert_allclose(optimizer.param_groups[0]["lr"], rate, rtol=1e-12)


# -- re-ranking --------------------------------------------------------------------------------------------------------


@adapter("mcja", "mcja_mser")
def mcja_mser(case: Case) -> None:
    """All views of the visible side against the plain infrared images, in both directions and precisions."""
    arrays, params = case.arrays, case.params
    for dtype, rtol, atol in ((np.float64, 1e-7, 1e-10), (np.float32, 1e-4, 1e-5)):
        queries, gallery = (arrays[name].astype(dtype) for name in ("queries", "gallery"))
        for direction, sides in {"i2v": (queries[0], gallery), "v2i": (queries, gallery[0])}.items():
            for neighbors in ("queries", "all"):
                values = {name: params[name] for name in ("k1", "k2", "weight")}
                name = f"{direction}_{neighbors}"
                ours = -MultiSpectral(**values, neighbors=neighbors)(*sides)
                np.testing.assert_allclose(ours, arrays[f"dist_{name}"], rtol, atol, err_msg=f"{name}, {dtype}")
                half = -MultiSpectral(**values, neighbors=neighbors, half=("weights",))(*sides)
                np.testing.assert_allclose(half, arrays[f"dist16_{name}"], rtol=0, atol=3e-3, err_msg=f"half {name}")
