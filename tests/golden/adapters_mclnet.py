"""Golden adapters of MCLNet: confusion with its critic, margin centres, one training step.

The running statistics of the critic's batch normalisation, which the release keeps and never uses, have no counterpart
here; neither has its unused third layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from adapters_losses import MPA_LOSS, leaf, same, tensor
from adapters_networks import mpa_recipe
from runner import Case, adapter
from torch import Tensor, nn

from vireid.core.types import Modality
from vireid.interop import released
from vireid.losses.adversarial import ModalityConfusion, Semantics, critic_scores, soft_cross_entropy
from vireid.losses.center import CameraMarginCenters, IdentityMarginCenters
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.triplet import WeightedRegularizedTriplet

DISCRIMINATOR = "mclnet_discriminator"


@adapter("mpa", "mclnet_soft_ce")
def mclnet_soft_ce(case: Case) -> None:
    for dtype, tolerance in MPA_LOSS.items():
        logits = leaf(case.arrays["logits"], dtype)
        loss = soft_cross_entropy(logits, tensor(case.arrays["target"], dtype))
        loss.backward()
        same(loss, case.arrays["loss"], tolerance, f"loss, {dtype}")
        same(logits.grad, case.arrays["grad_logits"], tolerance, f"gradient, {dtype}")


# -- margin centres --------------------------------------------------------------------------------------------------


def check_centers(case: Case, loss: nn.Module) -> None:
    arrays, classes = case.arrays, tensor(case.arrays["labels"])
    for dtype, tolerance in MPA_LOSS.items():
        loss.to(dtype).load_state_dict({"centers": tensor(arrays["centers"])})
        loss.zero_grad()
        x = leaf(arrays["x"], dtype)
        total = sum(loss(x, classes).values())
        total.backward()
        same(total, arrays["loss"], tolerance, f"loss, {dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient of x, {dtype}")
        same(loss.centers.grad, arrays["grad_centers"], tolerance, f"gradient of the centres, {dtype}")


def margins(params: Mapping) -> dict:
    """Trained here, though not by the release, so that the gradients it computes for its centres can be compared."""
    return {"rho": params["rho"], "sigma": params["sigma"], "feature_dim": params["feat_dim"], "learn": True}


@adapter("mpa", "mclnet_mcca_id")
def mclnet_mcca_id(case: Case) -> None:
    check_centers(
        case, IdentityMarginCenters(num_ids=case.params["num_classes"], rows_of_class=8, **margins(case.params))
    )


@adapter("mpa", "mclnet_mcca_cam")
def mclnet_mcca_cam(case: Case) -> None:
    check_centers(case, CameraMarginCenters(num_cameras=case.params["num_classes"], **margins(case.params)))


# -- the critic ------------------------------------------------------------------------------------------------------


def critic_of(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Released weights of a discriminator under the names of our state."""
    return {name: value.to(dtype) for name, value in released.to_ours(DISCRIMINATOR, weights).items()}


@adapter("mpa", "mclnet_discriminator")
def mclnet_discriminator(case: Case) -> None:
    """Of other widths than the release's, hence by the rules of the layout and not by its shapes."""
    layout, arrays = released.LAYOUTS[DISCRIMINATOR], case.arrays
    places = {key.removeprefix("w."): layout.place(key.removeprefix("w.")) for key in arrays if key.startswith("w.")}
    for dtype, tolerance in MPA_LOSS.items():
        weights = {place.name: tensor(arrays[f"w.{name}"], dtype) for name, place in places.items() if place}
        x = leaf(arrays["x"], dtype)
        scores = critic_scores(x, weights, weights)
        (scores * tensor(arrays["g"], dtype)).sum().backward()
        same(scores, arrays["out"], tolerance, f"scores, {dtype}")
        same(x.grad, arrays["grad_x"], tolerance, f"gradient, {dtype}")


def confusion_of(step: Case, semantics: Semantics, dtype: torch.dtype) -> ModalityConfusion:
    """The loss with the critic that the recipe gives, and the hyper-parameters of the case."""
    params = step.params
    shapes = {key.name: key.shape for key in released.release(DISCRIMINATOR).keys}
    weights = mpa_recipe(shapes, params["recipe_seed_D"])
    loss = ModalityConfusion(
        semantics=semantics,
        hidden=shapes["map1.weight"][0],
        feature_dim=shapes["map1.weight"][1],
        lr=params["d_lr"],
        momentum=params["d_momentum"],
        weight_decay=params["d_wd"],
    ).to(dtype)
    loss.load_state_dict(loss.state_dict() | critic_of(weights, dtype))
    return loss


def modality_of(rows: int) -> Tensor:
    """Visible rows first, as many of each."""
    return torch.tensor([Modality.VISIBLE, Modality.INFRARED]).repeat_interleave(rows // 2)


STORED32 = {"rtol": 1e-5, "atol": 1e-9}  # gradients that are stored in float32


def loosest(tolerance: Mapping[str, float]) -> dict[str, float]:
    return {name: max(value, STORED32[name]) for name, value in tolerance.items()}


@adapter("mpa", "mclnet_confusion_semantics")
def mclnet_confusion_semantics(case: Case) -> None:
    (step,) = case.needed
    cases: dict[Semantics, tuple[str, str]] = {
        "legacy": ("loss_old", "grad_legacy"),
        "stale": ("loss_old", "grad_old"),
        "fresh": ("loss_new", "grad_new"),
    }
    for semantics, (value, grad) in cases.items():
        for dtype, tolerance in MPA_LOSS.items():
            features = leaf(step.arrays["feat"], dtype)
            loss = confusion_of(step, semantics, dtype)(features, modality_of(len(features)))
            loss.backward()
            same(loss, case.arrays[value], tolerance, f"{semantics}, {dtype}")
            same(features.grad, case.arrays[grad], loosest(tolerance), f"gradient, {semantics}, {dtype}")


@adapter("mpa", "mclnet_train_step")
def mclnet_train_step(case: Case) -> None:
    arrays, params = case.arrays, case.params
    labels, cameras = tensor(arrays["labels"]), tensor(arrays["cams"])
    margin = {"rho": params["rho"], "sigma": params["sigma"], "feature_dim": arrays["centers_id"].shape[1]}
    identity = IdentityMarginCenters(num_ids=len(arrays["centers_id"]), rows_of_class=8, **margin)
    camera = CameraMarginCenters(num_cameras=len(arrays["centers_cam"]), **margin)
    for dtype, tolerance in MPA_LOSS.items():
        features, features_bn, logits = (leaf(arrays[name], dtype) for name in ("feat", "bn_feat", "logits"))
        confusion, modality = confusion_of(case, "legacy", dtype), modality_of(len(labels))
        before = critic_scores(features.detach(), confusion.critic(), confusion.critic())
        same(before, arrays["d_logits"], tolerance, f"scores of the critic, {dtype}")
        critic = confusion.measure(features.detach(), modality)["critic"]
        same(critic, arrays["d_loss"], tolerance, f"loss of the critic, {dtype}")
        for loss, key in ((identity, "centers_id"), (camera, "centers_cam")):
            loss.to(dtype).load_state_dict({"centers": tensor(arrays[key])})
        terms = {
            "loss_id": IdentityCrossEntropy()(logits, labels),
            "loss_tri": WeightedRegularizedTriplet(released_eps=True)(features, labels),
            "loss_modal": confusion(features, modality),
            "loss_mcca_id": sum(identity(features_bn, labels).values()),
            "loss_mcca_cam": sum(camera(features_bn, cameras).values()),
        }
        weights = {"loss_mcca_id": params["mcca_weight"], "loss_mcca_cam": params["mcca_weight"]}
        total = sum(weights.get(name, 1.0) * value for name, value in terms.items())
        total.backward()
        for name, value in {**terms, "loss": total}.items():
            same(value, arrays[name], tolerance, f"{name}, {dtype}")
        for name, inputs in {"grad_feat": features, "grad_bn_feat": features_bn, "grad_logits": logits}.items():
            same(inputs.grad, arrays[name], loosest(tolerance), f"{name}, {dtype}")
        check_critic_after(released.to_released(DISCRIMINATOR, confusion.state_dict()).get, arrays, tolerance)


def check_critic_after(ours: Callable[[str], Tensor | None], arrays: Mapping[str, np.ndarray], tolerance: Mapping):
    """The stored columns of map1.weight are every sixteenth one."""
    for key, stored in arrays.items():
        name = key.removeprefix("D_after.")
        if name == key or ".running_" in name:
            continue
        value = ours(name.removesuffix("_cols16"))
        assert value is not None, name
        same(value[:, ::16] if name.endswith("_cols16") else value, stored, tolerance, key)
