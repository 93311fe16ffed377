"""Golden adapters of PAENet as released: its modules, its head in both sizes, its objective.

The release's Emb2 looks at a map of 1 x 1 and hands on its input; ours leaves it out, and what is stored for it is held
against that. `attr_attention_map` has the same layers over a real map, which is how `SpatialAttentionStage` uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from adapters_losses import PRECISIONS, GivenMap, batch_of, check_stored, leaf, same, tensor, two_modalities
from rounding import ZeroGradients
from runner import Case, adapter
from torch import Tensor, nn

from vireid.core.fields import BATCH_FIELDS
from vireid.core.types import Batch, ModelOutput, Progress
from vireid.layers.attention import ChannelTokenAttention, attention_over_positions
from vireid.layers.norms import frozen_shift_neck, l2_normalize
from vireid.layers.pooling import generalized_mean
from vireid.layers.switch_norm import SwitchNorm
from vireid.losses.attributes import AttributeBCE
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.mmd import MarginMMD
from vireid.losses.objective import Objective, Term
from vireid.losses.triplet import HeteroCenterTriplet
from vireid.models.adapters.released import (
    ReleasedCrossEncoder,
    ReleasedFusion,
    ReleasedGate,
    ReleasedPAE,
    ReleasedRegion,
)
from vireid.models.adapters.stages import SpatialAttentionStage
from vireid.models.attribute_source import AttributeSource
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.attributes import AttributeClassifier
from vireid.models.heads.identity import IdentityHead
from vireid.models.pooling import GeM

NOTHING = 1e-9  # largest stored gradient of a layer that the released use cannot train

Results = Mapping[str, Tensor]


def renamed(name: str) -> str:
    """The public checkpoint's names of Emb1, as ours are."""
    return name.replace("mlp.", "")


def check_module(
    case: Case,
    build: Callable[[], nn.Module],
    run: Callable[..., Results],
    *,
    inputs: tuple[str, ...],
    ours: Callable[[str], str | None] = lambda name: name,
) -> None:
    """Outputs, gradients and buffers in both modes and precisions.

    `run(module, *inputs)` gives the stored outputs by name; `ours` maps a released tensor to one of the module, None
    for those that it does not have: their stored gradients must be nothing, or absent.
    """
    state = {key.removeprefix("state/"): tensor(v) for key, v in case.arrays.items() if key.startswith("state/")}
    for bits, dtype in PRECISIONS.items():
        close, loose = case.tolerance[f"f{bits}_vs_out64"], case.tolerance[f"grad_f{bits}"]
        for mode in ("eval", "train"):
            module = build()
            fitting = {ours(name): value for name, value in state.items() if ours(name)}
            module.load_state_dict(fitting)
            module.to(dtype).train(mode == "train")
            zeros = ZeroGradients(module)
            given = [leaf(case.arrays[f"in/{name}"], dtype) for name in inputs]
            results = run(module, *given)
            scalar = sum((v * tensor(case.arrays[f"{mode}/probe/{name}"], dtype)).sum() for name, v in results.items())
            scalar.backward()
            for name, result in results.items():
                same(result, case.arrays[f"{mode}/out64/{name}"], close, f"{mode} {name}, float{bits}")
            for name, value in zip(inputs, given, strict=True):
                same(value.grad, case.arrays[f"{mode}/grad64/{name}"], loose, f"{mode} gradient of {name}, float{bits}")

            def gradient(name: str, module=module) -> Tensor:
                own = ours(name)
                return torch.zeros(state[name].shape) if own is None else module.get_parameter(own).grad

            def allowed(name: str, stored: np.ndarray, zeros=zeros, loose=loose, dtype=dtype) -> Mapping[str, float]:
                return zeros.tolerance(ours(name) or name, stored, loose, dtype)

            check_stored(case, f"{mode}/gradw64/", gradient, allowed)
            check_stored(
                case, f"{mode}/state_after64/", lambda name, module=module: module.get_buffer(ours(name) or name), close
            )


def sizes(case: Case) -> tuple[int, int]:
    return case.params["D"], case.params["n_attr"]


@adapter("pae", "switchnorm")
def switchnorm(case: Case) -> None:
    check_module(case, lambda: SwitchNorm(8), lambda module, rows: {"y": module(rows)}, inputs=("attr",))


@adapter("pae", "scalar_cross_attention")
def scalar_cross_attention(case: Case) -> None:
    build = lambda: ChannelTokenAttention(*sizes(case))  # noqa: E731
    check_module(case, build, lambda module, x, beside: {"y": module(x, beside)}, inputs=("x", "complement"))


@adapter("pae", "cross_encoder")
def cross_encoder(case: Case) -> None:
    build = lambda: ReleasedCrossEncoder(*sizes(case), dropout=False)  # noqa: E731
    check_module(case, build, lambda module, x, a: {"y": module(x, a)}, inputs=("x", "attr"), ours=renamed)


GATE = {"mask_fc2": "embed", "fc1": "fc1", "fc2": "fc2"}
ATTENTION = {"mask_fc1": "embed", "conv1": "look", "conv2": "score"}


def of(names: Mapping[str, str], prefix: str = "") -> Callable[[str], str | None]:
    def ours(name: str) -> str | None:
        layer, _, kind = name.rpartition(".")
        return f"{prefix}{names[layer]}.{kind}" if layer in names else None

    return ours


@adapter("pae", "channel_gate")
def channel_gate(case: Case) -> None:
    build = lambda: ReleasedGate(*sizes(case))  # noqa: E731
    run = lambda module, v, a: {"gate": module.gate(v, a)}  # noqa: E731
    check_module(case, build, run, inputs=("v", "attr"), ours=of(GATE))


@adapter("pae", "attr_attention_vector")
def attr_attention_vector(case: Case) -> None:
    """Emb2 and Emb3 as the release calls them: the attention is 1 / positions everywhere and has no effect."""
    positions = case.params["h"] * case.params["w"]
    for mode in ("eval", "train"):
        uniform = case.arrays[f"{mode}/out64/spatial"]
        np.testing.assert_allclose(uniform, 1 / positions, rtol=0, atol=NOTHING)
    build = lambda: ReleasedGate(*sizes(case))  # noqa: E731
    run = lambda module, f, a: {"gate": module(f.flatten(1), a)}  # noqa: E731
    check_module(case, build, run, inputs=("f", "attr"), ours=of(GATE))


class OverTheMap(nn.Module):
    """Our Emb2 over a map, with a token of ones, and the released gate behind it."""

    def __init__(self, channels: int, num_attributes: int) -> None:
        super().__init__()
        self.attention = SpatialAttentionStage(width=None, num_attributes=num_attributes, channels=channels)
        self.gate = ReleasedGate(channels, num_attributes)

    def forward(self, feature_map: Tensor, attributes: Tensor) -> Results:
        tokens = torch.ones_like(feature_map[:, :, 0, 0])[:, None]
        seen = self.attention(tokens, feature_map, attributes)[:, 0]
        spatial = attention_over_positions(self.attention.scores(feature_map, attributes))
        return {"gate": self.gate(seen, attributes), "spatial": spatial}


@adapter("pae", "attr_attention_map")
def attr_attention_map(case: Case) -> None:
    def ours(name: str) -> str | None:
        return of(GATE, "gate.")(name) or of(ATTENTION, "attention.")(name)

    build = lambda: OverTheMap(*sizes(case))  # noqa: E731
    check_module(case, build, lambda module, f, a: module(f, a), inputs=("f", "attr"), ours=ours)


class RegionAndNeck(nn.Module):
    """The identity branch with the pool and the neck that the network puts behind it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.region, self.neck = ReleasedRegion(channels), frozen_shift_neck(channels)

    def forward(self, x: Tensor, score: Tensor) -> Results:
        pooled = generalized_mean(self.region(x, score), 3.0)
        return {"pooled": pooled, "neck": self.neck(pooled)}


@adapter("pae", "region")
def region(case: Case) -> None:
    def ours(name: str) -> str:
        return name.replace("bottleneck.", "neck.") if name.startswith("bottleneck.") else f"region.{name}"

    build = lambda: RegionAndNeck(case.params["D"])  # noqa: E731
    check_module(case, build, lambda module, x, score: module(x, score), inputs=("x", "score"), ours=ours)


@adapter("pae", "attr_fusion")
def attr_fusion(case: Case) -> None:
    build = lambda: ReleasedFusion(*sizes(case))  # noqa: E731
    run = lambda module, scores, features: {"y": module(scores, features)}  # noqa: E731
    check_module(case, build, run, inputs=("attr_scores", "attr_fea"))


# -- the whole head --------------------------------------------------------------------------------------------------

DEAD = ("attrfea.", "classifier.", "ASENet.conv1", "ASENet.conv2", "ASENet.mask_fc1")
WHERE = {
    "cross_transformer1.": "adapter.cross_encoder.",
    "ASENet.mask_fc2.": "adapter.gate.embed.",
    "ASENet.": "adapter.gate.",
    "region.bn.": "adapter.region.bn.",
    "region.bottleneck.": "heads.id.neck.",
    "bottleneck.": "adapter.neck.",
    "class_8.classifier.0.": "heads.id.classifier.",
}


def of_head(name: str) -> str | None:
    """Our name of a released tensor; None for what the release does not use, and for the attribute classifiers."""
    if name.startswith(DEAD):
        return None
    for theirs, ours in WHERE.items():
        if name.startswith(theirs):
            return renamed(name.replace(theirs, ours, 1))
    return None


def whole_head(state: Mapping[str, Tensor]) -> CrossModalityNet:
    """Adapter and heads as `plugins/pae_released.yml` joins them, with released weights and without dropout."""
    classes, channels = state["class_8.classifier.0.weight"].shape
    attributes = state["ASENet.mask_fc2.weight"].shape[1]
    size = {"num_attributes": attributes, "channels": channels}
    net = CrossModalityNet(
        backbone=GivenMap(channels),
        pool=GeM(p=3.0),
        adapter=ReleasedPAE(dropout=False, **size),
        attributes=AttributeSource(test="labels", **size),
        heads={
            "id": IdentityHead(num_ids=classes, channels=channels),
            "attributes": AttributeClassifier(num_attributes=attributes, feature_dim=channels),
        },
        uses={"attributes": {"features_bn": "attribute_feature"}},
    )
    ours = {of_head(name): value for name, value in state.items() if of_head(name)}
    ours["heads.attributes.classifier.weight"] = torch.cat(
        [state[f"class_{k}.classifier.0.weight"] for k in range(attributes)]
    )
    ours |= {name: value for name, value in net.state_dict().items() if name == "attributes.prior"}
    net.load_state_dict(ours)
    return net


def head_results(net: CrossModalityNet, batch: Batch) -> Results:
    out = net(batch).values
    if not net.training:
        return {"pooled_l2": l2_normalize(out["features"]), "neck_l2": l2_normalize(out["features_bn"])}
    probabilities = out["attribute_logits"].sigmoid()
    return {"pooled": out["features"], "id_logits": out["logits"], "attr_prob": probabilities}


def head_gradient(net: CrossModalityNet, name: str, like: Tensor) -> Tensor | None:
    if name.startswith("class_") and not name.startswith("class_8"):
        whole = net.heads["attributes"].classifier.weight.grad
        return None if whole is None else whole[int(name.split(".")[0].removeprefix("class_"))][None]
    own = of_head(name)
    return torch.zeros(like.shape) if own is None else net.get_parameter(own).grad


@adapter("pae", "pae_head")
def pae_head(case: Case) -> None:
    state = {key.removeprefix("state/"): tensor(v) for key, v in case.arrays.items() if key.startswith("state/")}
    for bits, dtype in PRECISIONS.items():
        close, loose = case.tolerance[f"f{bits}_vs_out64"], case.tolerance[f"grad_f{bits}"]
        for mode in ("eval", "train"):
            net = whole_head(state).to(dtype).train(mode == "train")
            zeros = ZeroGradients(net)
            x, attributes = leaf(case.arrays["in/x"], dtype), leaf(case.arrays["in/attr"], dtype)
            results = head_results(net, replace(batch_of(x), attributes=attributes))
            scalar = sum((v * tensor(case.arrays[f"{mode}/probe/{name}"], dtype)).sum() for name, v in results.items())
            scalar.backward()
            for name, result in results.items():
                same(result, case.arrays[f"{mode}/out64/{name}"], close, f"{mode} {name}, float{bits}")
            same(x.grad, case.arrays[f"{mode}/grad64/x"], loose, f"{mode} gradient of x, float{bits}")
            same(attributes.grad, case.arrays[f"{mode}/grad64/attr"], loose, f"{mode} gradient of attributes")

            def allowed(name: str, stored: np.ndarray, zeros=zeros, loose=loose, dtype=dtype) -> Mapping[str, float]:
                return zeros.tolerance(of_head(name) or name, stored, loose, dtype)

            check_stored(case, f"{mode}/gradw64/", lambda name, net=net: head_gradient(net, name, state[name]), allowed)
            for key, stored in case.arrays.items():
                name = key.removeprefix(f"{mode}/state_after64/")
                own = of_head(name)
                if name != key and own is not None:
                    same(net.get_buffer(own), stored, close, key)


def from_recipe(case: Case) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Map, attributes and weights; each tensor's sum and first entries are compared with the index."""
    generator, rows = np.random.default_rng(case.entry["seed"]), case.params["B"]
    x = np.maximum(generator.standard_normal((rows, 2048, 18, 9)), 0).astype(np.float32)
    attributes = (generator.standard_normal((rows, 8)) > 0).astype(np.float32)
    np.testing.assert_allclose(x.sum(dtype=np.float64), case.params["input_sum"], rtol=1e-6)
    assert attributes.astype(int).tolist() == case.params["attr"]
    state = {}
    for entry in case.params["recipe"]["tensors"]:
        form, shape = entry["form"], entry["shape"]
        n = np.zeros(shape) if form == "zeros" else generator.standard_normal(shape)
        value = 0.5 + n * n if form == "var" else entry["offset"] + entry["scale"] * n
        if form.endswith("ones"):
            value = np.ones(shape)
        value = value.astype(np.float32)
        np.testing.assert_allclose(
            value.sum(dtype=np.float64), entry["sum"], rtol=1e-5, atol=1e-3, err_msg=entry["key"]
        )
        np.testing.assert_allclose(value.flatten()[:3], entry["first"][: value.size], rtol=1e-6, err_msg=entry["key"])
        state[entry["key"]] = tensor(value)
    return tensor(x), tensor(attributes), state


@adapter("pae", "pae_head_full", slow=True)
def pae_head_full(case: Case) -> None:
    arrays = case.arrays  # a file that is missing skips the case before 49 M numbers are drawn
    x, attributes, state = from_recipe(case)
    state |= {
        f"{norm}.num_batches_tracked": torch.tensor(0) for norm in ("bottleneck", "region.bn", "region.bottleneck")
    }
    for bits, dtype in PRECISIONS.items():
        close = case.tolerance[f"f{bits}_vs_out64"]
        for mode in ("eval", "train"):
            net = whole_head(state).to(dtype).train(mode == "train")
            middle: dict[str, Tensor] = {}
            for name, module in {"embed1": net.adapter.cross_encoder, "gate": net.adapter.gate}.items():
                module.register_forward_hook(lambda m, i, out, name=name, middle=middle: middle.update({name: out}))
            given = x.to(dtype, copy=True).requires_grad_()
            results = head_results(net, replace(batch_of(given), attributes=attributes.to(dtype)))
            first, *others = results.values()
            (first.sum() + sum(other.square().sum() for other in others)).backward()
            for name, result in results.items():
                same(result, arrays[f"{mode}/out64/{name}"], close, f"{mode} {name}, float{bits}")
            for name, result in middle.items():
                same(result, arrays[f"{mode}/mid64/{name}"], close, f"{mode} {name}, float{bits}")
            assert given.grad is not None
            if dtype == torch.float64:
                same(given.grad.flatten()[:4096], arrays[f"{mode}/grad64_first4096"], close, f"{mode} gradient of x")
                same(given.grad.abs().sum(), arrays[f"{mode}/grad64_sum_abs"], close, f"{mode} gradient of x, sum")


@adapter("pae", "pae_objective")
def pae_objective(case: Case) -> None:
    arrays, params = case.arrays, case.params
    labels, target = tensor(arrays["in/labels"]), torch.tensor(params["attr_target"])
    terms = {
        "ce": Term(IdentityCrossEntropy()),
        "tri": Term(HeteroCenterTriplet(margin=0.3), weight=2.0),
        "bce": Term(AttributeBCE()),
        "mmd": Term(MarginMMD(margin=params["margin_mmd"], mode="threshold"), weight=0.25),
    }
    fields = ("features", "logits", "attribute_logits")
    objective = Objective(terms, provided={*BATCH_FIELDS, *fields})
    for bits, dtype in PRECISIONS.items():
        close, loose = case.tolerance[f"f{bits}_vs_out64"], case.tolerance[f"grad_f{bits}"]
        feat, logits, prob = (leaf(arrays[f"in/{name}"], dtype) for name in ("feat", "logits", "attr_prob"))
        batch = replace(
            batch_of(feat),
            labels=labels,
            modality=two_modalities(len(labels)),
            attributes=target.to(dtype),
            attributes_known=torch.ones_like(target, dtype=torch.bool),
        )
        out = ModelOutput({"features": feat, "logits": logits, "attribute_logits": prob.logit()})
        total, logged = objective(batch, out, Progress())
        total.backward()
        for name, value in {"total": total, **{name: logged[name] for name in terms}}.items():
            same(value, arrays[f"out64/{name}"], close, f"{name}, float{bits}")
        for name, value in {"feat": feat, "logits": logits, "attr_prob": prob}.items():
            same(value.grad, arrays[f"grad64/{name}"], loose, f"gradient of {name}, float{bits}")
