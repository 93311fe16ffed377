"""Golden adapters of SAAI: part tokens, neck of each modality, losses, the head with its objective, sampler, rates."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import numpy as np
import torch
from adapters_losses import MPA_LOSS, GivenMap, leaf, same, tensor
from adapters_metrics import percent
from adapters_mpanet import batch_of, modality_of, mpanet_sampler
from adapters_networks import MPA, mpa_recipe, shapes_of
from runner import Case, adapter
from torch import Tensor

import vireid
from vireid.core.fields import BATCH_FIELDS
from vireid.core.types import Batch, Progress
from vireid.data.augment.color import KEEP, copy_channels
from vireid.engine.optim import Adam, WarmupSteps, set_learning_rate
from vireid.evaluation import evaluate_distances
from vireid.evaluation.protocols.sysu import SYSU_GALLERY
from vireid.interop import released
from vireid.layers.norms import ModalityNeck, l2_normalize
from vireid.layers.parts import masked_means
from vireid.losses.distillation import ModalityMutualLearning
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.masks import CenterCluster, MaskDiversity
from vireid.losses.objective import Objective, Term
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.part_tokens import PartTokenHead
from vireid.models.inserts.modality import ModalityAlleviationBlock
from vireid.models.pooling import AveragePool
from vireid.retrieval import AffinityInference, Similarity

KINDS = {"l2": "l2", "cos": "inner_product"}  # name of the diversity in the release: ours

# -- parts -----------------------------------------------------------------------------------------------------------


@adapter("saai", "saai_part_pooling")
def saai_part_pooling(case: Case) -> None:
    """The release concatenates the pooled features afterwards."""
    arrays = case.arrays
    _, channels, *size = arrays["x"].shape
    for dtype, tolerance in MPA.items():
        head = PartTokenHead(num_parts=case.params["num_parts"], map_size=tuple(size), num_ids=1, channels=channels)
        head.load_state_dict(
            {"tokens": tensor(arrays["part_tokens"]), "positions": tensor(arrays["pos_embedding"])}, strict=False
        )
        x = leaf(arrays["x"], dtype)
        masks = head.to(dtype).masks(x)
        parts = masked_means(x, masks).flatten(1)
        weighted = (parts * tensor(arrays["g"], dtype)).sum()
        weighted = weighted + (masks.flatten(2) * tensor(arrays["g_attn"], dtype)).sum()
        weighted.backward()
        same(parts, arrays["out"], tolerance, f"parts, {dtype}")
        same(masks.flatten(2), arrays["attn"], tolerance, f"masks, {dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient of the map, {dtype}")
        same(head.tokens.grad, arrays["grad_part_tokens"], tolerance, f"gradient of the tokens, {dtype}")
        same(head.positions.grad, arrays["grad_pos_embedding"], tolerance, f"gradient of the positions, {dtype}")


@adapter("saai", "saai_dual_neck")
def saai_dual_neck(case: Case) -> None:
    arrays, modality = case.arrays, tensor(case.arrays["modality"])
    for dtype, tolerance in MPA.items():
        neck = ModalityNeck(arrays["x"].shape[1])
        weights = {f"{name}.weight": tensor(arrays[f"weight_{name}"]) for name in ("visible", "infrared")}
        neck.load_state_dict(weights, strict=False)
        x = leaf(arrays["x"], dtype)
        out = neck.to(dtype)(x, modality)
        (out * tensor(arrays["g"], dtype)).sum().backward()
        same(out, arrays["out"], tolerance, f"training, {dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient, {dtype}")
        for name, half in (("visible", neck.visible), ("infrared", neck.infrared)):
            same(half.weight.grad, arrays[f"grad_weight_{name}"], tolerance, f"gradient of the scale, {name}, {dtype}")
            same(half.running_mean, arrays[f"mean_{name}"], tolerance, f"running mean, {name}, {dtype}")
            same(half.running_var, arrays[f"var_{name}"], tolerance, f"running variance, {name}, {dtype}")
        same(neck.eval()(x, modality), arrays["out_eval"], tolerance, f"evaluation, {dtype}")


@adapter("saai", "saai_mam")
def saai_mam(case: Case) -> None:
    arrays = case.arrays
    for dtype, tolerance in MPA.items():
        block = ModalityAlleviationBlock(arrays["x"].shape[1], reduction=case.params["reduction"])
        block.load_state_dict(
            {"squeeze.weight": tensor(arrays["w_reduce"]), "excite.weight": tensor(arrays["w_expand"])}
        )
        x = leaf(arrays["x"], dtype)
        result = block.to(dtype)(x)
        (result * tensor(arrays["g"], dtype)).sum().backward()
        found = {
            "out": result,
            "grad_x": x.grad,
            "grad_w_reduce": block.squeeze.weight.grad,
            "grad_w_expand": block.excite.weight.grad,
        }
        for name, value in found.items():
            same(value, arrays[name], tolerance, f"{name}, {dtype}")


@adapter("saai", "saai_center_separation")
def saai_center_separation(case: Case) -> None:
    """In shuffled rows."""
    arrays, params = case.arrays, case.params
    order = torch.randperm(len(arrays["labels"]), generator=torch.Generator().manual_seed(0))
    for dtype, tolerance in MPA_LOSS.items():
        x = leaf(arrays["x"], dtype)
        loss = CenterCluster(margin=params["margin2"], pull_margin=params["margin1"])
        terms = loss(x[order], tensor(arrays["labels"])[order])
        total = terms["pull"] + terms["push"]
        total.backward()
        for name, value in {"loss": total, **terms, "grad_x": x.grad}.items():
            same(value, arrays[name], tolerance, f"{name}, {dtype}")


# -- the head and its objective --------------------------------------------------------------------------------------

STATISTICS = ("weight", "bias", "running_mean", "running_var")
HEAD = {  # stored name -> ours
    "part_tokens": "tokens",
    "pos_embeding": "positions",
    "classifier_weight": "classifier.weight",
    **{
        f"neck_{short}_{kind}": f"neck.{name}.{kind}"
        for short, name in zip("vi", ("visible", "infrared"))
        for kind in STATISTICS
    },
}
MUTUAL = {
    "visible_classifier_weight": "visible.weight",
    "infrared_classifier_weight": "infrared.weight",
    "visible_classifier__weight": "visible_copy",
    "infrared_classifier__weight": "infrared_copy",
}


def mutual_of(weights: Mapping[str, Tensor], rate: float) -> ModalityMutualLearning:
    """The stateful loss with the classifiers and copies of a case; all weights are 1 in the release."""
    classes, width = weights["visible_classifier_weight"].shape
    loss = ModalityMutualLearning(
        update=rate, kl_weight=1.0, agreement="soft_cross_entropy", num_ids=classes, feature_dim=width
    )
    loss.load_state_dict({ours: weights[name] for name, ours in MUTUAL.items()} | {"rate": torch.tensor(rate)})
    return loss


def effective_weight(params: Mapping) -> float:
    """The release multiplies "l2" by its weight twice."""
    return params["dp_weight"] ** (2 if params["diversity"] == "l2" else 1)


def objective_of(net: CrossModalityNet, mutual: ModalityMutualLearning, params: Mapping) -> Objective:
    cluster = CenterCluster(margin=params["margin2"], pull_margin=params["margin1"])
    terms = {
        "id": Term(IdentityCrossEntropy()),
        "cluster": Term(cluster, weight=params["cs_weight"]),
        "diversity": Term(MaskDiversity(kind=KINDS[params["diversity"]]), weight=effective_weight(params)),
        "mutual": Term(mutual),
    }
    return Objective(terms, provided=net.provides | set(BATCH_FIELDS))


def check_terms(logged: Mapping[str, Tensor], case: Case, tolerance: Mapping[str, float]) -> None:
    """Stored are the weighted diversity of "l2" (once) and the unweighted one of "cos"."""
    arrays, params = case.arrays, case.params
    identity = logged["id"] + logged["mutual/id"] + logged["mutual/soft_cross_entropy"]
    found = {
        "ce": logged["id"],
        "id": identity,
        "cs": logged["cluster/pull"] + logged["cluster/push"],
        "dp": logged["diversity"] * effective_weight(params) / params["dp_weight"],
    }
    for name, value in found.items():
        same(value, arrays[name], tolerance, name)


@adapter("saai", "saai_head")
def saai_head(case: Case) -> None:
    arrays, params = case.arrays, case.params
    weights = {name.removeprefix("w_"): tensor(value) for name, value in arrays.items() if name.startswith("w_")}
    _, channels, *size = arrays["fmap"].shape
    for dtype, tolerance in MPA.items():
        head = PartTokenHead(
            num_parts=params["num_parts"], map_size=tuple(size), num_ids=params["num_classes"], channels=channels
        )
        head.load_state_dict({ours: weights[name] for name, ours in HEAD.items()}, strict=False)
        net = CrossModalityNet(backbone=GivenMap(channels), pool=AveragePool(), heads={"id": head}).to(dtype)
        mutual = mutual_of(weights, params["update_rate"])
        objective = objective_of(net, mutual, params).to(dtype)
        fmap = leaf(arrays["fmap"], dtype)
        batch = batch_of(fmap, arrays)
        with torch.no_grad():
            same(net.eval()(batch).values["features_bn"], arrays["feat_eval"], tolerance, f"evaluation, {dtype}")
        total, logged = objective(batch, net.train()(batch), Progress())
        total.backward()
        same(total, arrays["loss"], tolerance, f"loss, {dtype}")
        check_terms(logged, case, tolerance)
        largest = float(np.abs(arrays["grad_fmap"]).max())  # stored in float32
        loose = {"rtol": max(tolerance["rtol"], 1e-5), "atol": max(tolerance["atol"], 1e-6 * largest)}
        same(fmap.grad, arrays["grad_fmap"], loose, f"gradient of the map, {dtype}")
        found = {
            "grad_part_tokens": head.tokens.grad,
            "grad_pos_embeding": head.positions.grad,
            "grad_visible": mutual.visible.weight.grad,
            "grad_infrared": mutual.infrared.weight.grad,
            "grad_classifier": head.classifier.weight.grad,
            "grad_neck_v": head.neck.visible.weight.grad,
            "grad_neck_i": head.neck.infrared.weight.grad,
            "ema_visible_after": mutual.visible_copy,
            "ema_infrared_after": mutual.infrared_copy,
            "mean_v_after": head.neck.visible.running_mean,
            "mean_i_after": head.neck.infrared.running_mean,
            "var_v_after": head.neck.visible.running_var,
            "var_i_after": head.neck.infrared.running_var,
        }
        for name, value in found.items():
            same(value, arrays[name], tolerance, f"{name}, {dtype}")


# -- the whole network and its evaluation ----------------------------------------------------------------------------

ATTENTIONS = {0: (), 1: ("STAGE4",), 2: ("STAGE3", "STAGE4")}  # modality_attention: stages that an alleviation follows


def whole_of(params: Mapping) -> tuple[CrossModalityNet, dict[str, Tensor]]:
    """The network of the shipped config with weights by the recipe, and these weights under the released names."""
    parts, stages = params["num_parts"], ATTENTIONS[params["modality_attention"]]
    absent = [f".MAM{stage[-1]}." for stage in ATTENTIONS[2] if stage not in stages]
    shapes = shapes_of("saai", params["num_classes"])
    shapes["attn_pool.part_tokens"] = (parts, shapes["attn_pool.part_tokens"][1])
    width = shapes["bn_neck.bn_neck_v.weight"][0]
    changed = {width: (parts + 1) * shapes["attn_pool.part_tokens"][1]}
    shapes = {name: tuple(changed.get(size, size) for size in shape) for name, shape in shapes.items()}
    shapes = {name: shape for name, shape in shapes.items() if not any(module in name for module in absent)}
    weights = mpa_recipe(shapes, params["recipe_seed"])
    overrides = {f"MODEL.BACKBONE.INSERTS.{stage}.NAME": "none" for stage in set(ATTENTIONS[2]) - set(stages)}
    net = vireid.create_model(
        "saai", num_ids=params["num_classes"], overrides={**overrides, "MODEL.HEADS.ID.NUM_PARTS": parts}
    )
    places = {name: released.LAYOUTS["saai"].place(name) for name in weights}
    net.load_state_dict({place.name: weights[name] for name, place in places.items() if place is not None})
    return net.double(), weights


def images_of(case: Case) -> np.ndarray:
    """The first images that the index says to draw, of the size of the release."""
    shape = (len(case.arrays["cam_ids"]), 3, 288, 144)
    return np.random.default_rng(case.params["image_seed"]).standard_normal(shape).astype(np.float32)


@adapter("saai", "saai_model_eval")
def saai_model_eval(case: Case) -> None:
    arrays, net = case.arrays, whole_of(case.params)[0].eval()
    modality = modality_of(arrays["cam_ids"])
    zeros = torch.zeros_like(modality)
    channels = arrays["map_part"].shape[1]
    for dtype in (torch.float64, torch.float32):
        net.to(dtype)
        images = tensor(images_of(case), dtype)
        with torch.no_grad():
            fields = net(Batch(images, zeros, modality, zeros, zeros, zeros)).values
        step = fields["feature_map"].shape[1] // channels
        for name, value in {"map_part": fields["feature_map"][:, ::step], "feat": fields["features_bn"]}.items():
            largest = float(np.abs(arrays[name]).max())  # `feat` is stored in float32
            close = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-3 * largest}
            same(value, arrays[name], close, f"{name}, {dtype}")


STORED_GRADIENTS = {  # name: tensor of the release, and the part of its gradient that is stored
    "grad_image_part": ("image", np.s_[:, :, ::16, ::16]),
    "grad_conv1": ("backbone.conv1.weight", np.s_[:]),
    "grad_part_tokens_part": ("attn_pool.part_tokens", np.s_[:, ::16]),
    "grad_pos_part": ("attn_pool.pos_embeding", np.s_[::9, ::64]),
    "grad_mam3_reduce_part": ("backbone.MAM3.channel_attention.0.weight", np.s_[:, ::16]),
}


@adapter("saai", "saai_model_train")
def saai_model_train(case: Case) -> None:
    arrays, params, close = case.arrays, case.params, {"rtol": 1e-4, "atol": 1e-9}
    net, weights = whole_of(params)
    mutual = mutual_of({name.replace(".", "_"): value for name, value in weights.items()}, params["update_rate"])
    objective = objective_of(net, mutual, params).double()
    images = leaf(images_of(case), torch.float64)
    batch = batch_of(images, arrays)
    total, logged = objective(batch, net.train()(batch), Progress())
    total.backward()
    same(total, arrays["loss"], close, "loss")
    check_terms(logged, case, close)
    grads = released.to_released("saai", {name: p.grad for name, p in net.named_parameters() if p.grad is not None})
    assert images.grad is not None
    grads["image"] = images.grad
    for name in (name for name in arrays if name.startswith("grad_")):  # of MAM3 only where it exists
        released_name, part = STORED_GRADIENTS[name]
        ours, stored = grads[released_name][part].numpy(), arrays[name].astype(np.float64)
        assert ours.shape == stored.shape, name
        cosine = (ours * stored).sum() / np.linalg.norm(ours) / np.linalg.norm(stored)
        assert cosine > 0.9999, f"{name}: {cosine}"
        np.testing.assert_allclose(np.linalg.norm(ours), np.linalg.norm(stored), rtol=1e-3, err_msg=name)
    same(mutual.visible_copy[:, ::97], arrays["ema_visible_after_part"], close, "visible copy")


@adapter("saai", "saai_eval_sysu")
def saai_eval_sysu(case: Case) -> None:
    """Affinity inference is done for each trial's gallery by itself; 0, 0: without it."""
    stored = case.arrays
    queries, gallery = (l2_normalize(tensor(stored[name], torch.float64)).numpy() for name in ("qf", "gf"))
    choices = stored["first_choice"]
    for key in (key for key in stored if key.startswith(("all_", "indoor_"))):
        mode, k1, k2 = key.split("_")
        rerank = AffinityInference(k1=int(k1), k2=int(k2)) if int(k1) else Similarity()
        cameras, results = SYSU_GALLERY[mode], []
        for trial in range(choices.shape[2]):
            named = choices[stored["g_cams"] - 1, stored["g_ids"] - 1, trial]
            drawn = np.isin(stored["g_cams"], cameras) & (named == stored["g_numbers"])
            scores = evaluate_distances(
                -rerank(queries, gallery[drawn]),
                stored["q_ids"],
                stored["g_ids"][drawn],
                stored["q_cams"],
                stored["g_cams"][drawn],
                protocol="sysu",
            )
            results.append(percent(scores))
        np.testing.assert_allclose(np.mean(results, axis=0), stored[key], rtol=1e-9, atol=0, err_msg=key)


# -- augmentation, rates and sampler ---------------------------------------------------------------------------------


@adapter("saai", "saai_channel_copy")
def saai_channel_copy(case: Case) -> None:
    """One draw of 0 .. 10 for each image: 0, 1 and 2 are channels."""
    draw, images = Random(case.params["seed"]), tensor(case.arrays["images"])
    choice = torch.tensor([number if number < 3 else KEEP for number in (draw.randint(0, 10) for _ in images)])
    np.testing.assert_array_equal(copy_channels(images, choice).numpy(), case.arrays["out"])
    assert draw.random() == case.arrays["next_random"]


@adapter("saai", "saai_schedules")
def saai_schedules(case: Case) -> None:
    params, arrays = case.params, case.arrays
    mutual = ModalityMutualLearning(update=params["base_rate"], num_ids=2, feature_dim=2)
    rates = [mutual.rate_in(epoch + 1) for epoch in range(len(arrays["update_rate"]))]
    np.testing.assert_allclose(rates, arrays["update_rate"], rtol=1e-12, atol=0)
    optimizer, schedule = Adam([torch.zeros(1, requires_grad=True)]), WarmupSteps(warmup=10, drops=params["drops"])
    factors = [set_learning_rate(optimizer, schedule(epoch)) / 3.5e-4 for epoch in range(len(arrays["lr_factor"]))]
    np.testing.assert_allclose(factors, arrays["lr_factor"], rtol=1e-12, atol=0)


adapter("saai", "saai_sampler")(mpanet_sampler)  # the same draws
