"""Golden adapters of ADCA and PGM: learning without identity labels."""

from __future__ import annotations

import random

import numpy as np
import torch
from adapters_networks import rows as batch_of
from runner import Case, adapter
from scipy import sparse
from torch import Tensor

import vireid
from vireid.clustering import cluster_features, dbscan, jaccard_graph, match_clusters, shared_pairs
from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import Modality
from vireid.data.augment.jitter import CHANGES, change_colors
from vireid.data.samplers.clusters import released_cluster_pass
from vireid.engine.optim import WarmupSteps
from vireid.evaluation.flips import with_mirror
from vireid.interop import released
from vireid.layers.norms import l2_normalize
from vireid.losses.cluster_contrast import AlternateCrossContrast, DualContrast, mixed
from vireid.losses.cluster_memory import cluster_centroids

_ALL = 1 - 1e-12  # every pair that shares a weight


def dense(graph) -> np.ndarray:
    """The matrix of all distances; pairs that are not stored share nothing and have the distance 1."""
    out = np.ones(graph.shape)
    entries = graph.tocoo()
    out[entries.row, entries.col] = entries.data
    return out


@adapter("usl", "adca_jaccard")
def adca_jaccard(case: Case) -> None:
    stored, params = case.arrays, case.params
    for dtype, rtol, atol in ((np.float64, 1e-9, 1e-12), (np.float32, 0, 2e-5)):
        graph = jaccard_graph(stored["features"].astype(dtype), k1=params["k1"], k2=params["k2"], eps=_ALL)
        np.testing.assert_allclose(dense(graph), stored["distance"], rtol=rtol, atol=atol)


@adapter("usl", "adca_dbscan")
def adca_dbscan(case: Case) -> None:
    stored, params = case.arrays, case.params
    graph = sparse.csr_matrix(stored["distance"] <= np.float32(params["eps"]))
    labels = dbscan(graph, min_samples=params["min_samples"])
    np.testing.assert_array_equal(labels, stored["labels"])
    assert labels.max() + 1 == stored["clusters"]


@adapter("usl", "pgm_matching")
def pgm_matching(case: Case) -> None:
    stored = case.arrays
    matches = match_clusters(*(stored[f"centroids_{name}"].astype(np.float64) for name in ("visible", "infrared")))
    np.testing.assert_array_equal(matches.infrared_of_visible, stored["infrared_of_visible"])
    np.testing.assert_array_equal(matches.visible_of_infrared, stored["visible_of_infrared"])
    batch = stored["batch_visible"], stored["batch_infrared"]
    np.testing.assert_array_equal(matches.infrared_of_visible[batch[0]], stored["batch_visible_as_infrared"])
    np.testing.assert_array_equal(matches.visible_of_infrared[batch[1]], stored["batch_infrared_as_visible"])


@adapter("usl", "adca_centroids")
def adca_centroids(case: Case) -> None:
    stored = case.arrays
    rows, labels = torch.from_numpy(stored["features"]).double(), torch.from_numpy(stored["labels"])
    number = int(labels.max()) + 1
    ours = cluster_centroids(rows, labels, number)
    np.testing.assert_allclose(ours.numpy(), stored["memory"], rtol=1e-9, atol=1e-12)
    of_label = [stored["features"][stored["labels"] == label].astype(np.float64) for label in range(number)]
    means = np.stack([rows.mean(axis=0) for rows in of_label])
    np.testing.assert_allclose(means, stored["centroids"], rtol=1e-9, atol=1e-12)


@adapter("usl", "adca_aggregation")
def adca_aggregation(case: Case) -> None:
    stored, params = case.arrays, case.params
    features = [stored[f"features_{name}"].astype(np.float64) for name in ("visible", "infrared")]
    labels = [stored[f"labels_{name}"] for name in ("visible", "infrared")]
    found = shared_pairs(*features, *labels, threshold=params["threshold"])
    np.testing.assert_array_equal(found.pairs, stored["pairs"])
    by_cluster = found.counts[np.lexsort((found.counts[:, 1], found.counts[:, 0]))]
    np.testing.assert_array_equal(by_cluster, stored["counts"])
    check_aggregated(stored, found.pairs, params["keep"], "memory_visible_after", rtol=1e-9)
    np.testing.assert_allclose(stored["memory_infrared"], stored["memory_infrared_after"], rtol=1e-9)


def check_aggregated(stored, pairs: np.ndarray, keep: float, key: str, rtol: float) -> None:
    """The mixture of visible and infrared centroids."""
    visible, infrared = (torch.from_numpy(stored[f"memory_{name}"]).double() for name in ("visible", "infrared"))
    taken = torch.from_numpy(pairs)
    ours = mixed(torch.cat([visible, infrared]), taken[:, 0], taken[:, 1] + len(visible), keep)
    np.testing.assert_allclose(ours[: len(visible)].numpy(), stored[key], rtol=rtol, atol=1e-12)
    np.testing.assert_array_equal(ours[len(visible) :].numpy(), infrared.numpy())


@adapter("usl", "adca_epoch_start")
def adca_epoch_start(case: Case) -> None:
    stored, params = case.arrays, case.params
    settings = {name: params[name] for name in ("k1", "k2", "eps", "min_samples")}
    features, labels, memory = {}, {}, {}
    for name in ("visible", "infrared"):
        features[name] = stored[f"features_{name}"].astype(np.float64)
        labels[name] = cluster_features(features[name], **settings)
        np.testing.assert_array_equal(labels[name], stored[f"labels_{name}"])
        rows = torch.from_numpy(features[name])
        memory[name] = cluster_centroids(rows, torch.from_numpy(labels[name]), int(labels[name].max()) + 1)
        np.testing.assert_allclose(memory[name].numpy(), stored[f"memory_{name}"], rtol=1e-6, atol=1e-9)
    found = shared_pairs(*features.values(), *labels.values(), threshold=params["threshold"])
    np.testing.assert_array_equal(found.pairs, stored["pairs"])
    check_aggregated(stored, found.pairs, params["keep"], "memory_visible_aggregated", rtol=1e-6)
    matches = match_clusters(memory["visible"].numpy(), memory["infrared"].numpy())
    np.testing.assert_array_equal(matches.infrared_of_visible, stored["infrared_of_visible"])
    np.testing.assert_array_equal(matches.visible_of_infrared, stored["visible_of_infrared"])


@adapter("usl", "adca_memory")
def adca_memory(case: Case) -> None:
    """Steps with one memory: loss, gradient and the memory after each step."""
    stored, params = case.arrays, case.params
    loss = DualContrast(temperature=params["temperature"], momentum=params["momentum"], update=update_of(params))
    memory = torch.from_numpy(stored["memory"]).double()
    loss.fill(memory, PseudoLabels(np.arange(len(memory)), len(memory), 0))
    for step in range(len(stored["x"])):
        rows = torch.from_numpy(stored["x"][step]).double().requires_grad_()
        labels = torch.from_numpy(stored["labels"][step])
        zero = torch.zeros_like(labels)
        total = loss(rows, labels=labels, modality=zero, view=zero)["visible"]
        total.backward()
        assert rows.grad is not None
        np.testing.assert_allclose(total.item(), stored["loss"][step], rtol=1e-6)
        np.testing.assert_allclose(rows.grad.numpy(), stored["grad_x"][step], rtol=1e-6, atol=1e-9)
        after = loss.memory.centroids.numpy()
        np.testing.assert_allclose(after, stored["memory_after"][step], rtol=1e-6, atol=1e-9)


def update_of(params) -> str:
    return "hard" if params["hard"] else "mean"


def check_steps(case: Case, loss: DualContrast, terms: tuple[str, ...]) -> None:
    """Steps of a complete loss with the memories of both modalities."""
    stored = case.arrays
    memories = [torch.from_numpy(stored[f"memory_{name}"]).double() for name in ("visible", "infrared")]
    first = len(memories[0])
    loss.fill(torch.cat(memories), PseudoLabels(np.arange(sum(map(len, memories))), first, len(memories[1])))
    for step in range(len(stored["features"])):
        rows = torch.from_numpy(stored["features"][step]).double().requires_grad_()
        images, infrared = (torch.from_numpy(stored[f"labels_{name}"][step]) for name in ("visible", "infrared"))
        labels = torch.cat([images, images, infrared + first])
        sizes = torch.tensor([len(images), len(images), len(infrared)])
        modality = torch.tensor([Modality.VISIBLE, Modality.VISIBLE, Modality.INFRARED]).repeat_interleave(sizes)
        view = torch.tensor([0, 1, 0]).repeat_interleave(sizes)
        values: dict[str, Tensor] = loss(rows, labels=labels, modality=modality, view=view)
        torch.stack(list(values.values())).sum().backward()
        assert rows.grad is not None
        for name in terms:
            factor = case.params.get("cross_weight", 1.0) if name == "cross" else 1.0
            np.testing.assert_allclose(values[name].item(), factor * stored[f"loss_{name}"][step], rtol=1e-6)
        np.testing.assert_allclose(rows.grad.numpy(), stored["grad_features"][step], rtol=1e-6, atol=1e-9)
        after = loss.memory.centroids.numpy()
        np.testing.assert_allclose(after[:first], stored["memory_visible_after"][step], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(after[first:], stored["memory_infrared_after"][step], rtol=1e-6, atol=1e-9)


@adapter("usl", "adca_step")
def adca_step(case: Case) -> None:
    params = case.params
    loss = DualContrast(temperature=params["temperature"], momentum=params["momentum"], update=update_of(params))
    check_steps(case, loss, ("visible", "infrared"))


@adapter("usl", "pgm_step")
def pgm_step(case: Case) -> None:
    stored, params = case.arrays, case.params
    loss = AlternateCrossContrast(
        temperature=params["temperature"],
        momentum=params["momentum"],
        update=update_of(params),
        cross_weight=params["cross_weight"],
        gradient="released",
    )
    first = len(stored["memory_visible"])
    loss.match(np.concatenate([stored["infrared_of_visible"] + first, stored["visible_of_infrared"]]))
    loss.compared = Modality(params["epoch"] % 2)
    check_steps(case, loss, ("visible", "infrared", "cross"))


@adapter("usl", "adca_sampler")
def adca_sampler(case: Case) -> None:
    stored, params = case.arrays, case.params

    def passes():
        """Endless passes from the seed."""
        order = torch.Generator().manual_seed(params["seed"])
        first, others = random.Random(params["seed"]), np.random.RandomState(params["seed"])
        while True:
            yield released_cluster_pass(
                stored["labels"],
                stored["cameras"],
                instances=params["instances"],
                by_camera=params["cameras"],
                order=order,
                first=first,
                others=others,
            )

    drawn = [next_pass for next_pass, _ in zip(passes(), stored["pass_lengths"])]
    assert [len(each) for each in drawn] == stored["pass_lengths"].tolist()
    assert [row for each in drawn for row in each] == stored["passes"].tolist()
    batches, size = [], params["batch"]
    for each in passes():
        batches += [each[start : start + size] for start in range(0, len(each) - size + 1, size)]
        if len(batches) >= params["steps"]:
            break
    assert batches[: params["steps"]] == stored["batches"].tolist()
    assert len(set(stored["labels"].tolist())) * params["instances"] == stored["length"]


@adapter("usl", "adca_schedule")
def adca_schedule(case: Case) -> None:
    params = case.params
    drops = tuple(range(params["step_size"], params["epochs"], params["step_size"]))
    schedule = WarmupSteps(warmup=0, drops=drops, factor=params["gamma"])
    rates = [params["base"] * schedule(epoch) for epoch in range(params["epochs"])]
    np.testing.assert_allclose(rates, case.arrays["rate"], rtol=1e-12)


@adapter("usl", "pgm_color_jitter")
def pgm_color_jitter(case: Case) -> None:
    """Each change alone, exact but for the hue (1 gray level); all in the drawn order."""
    stored = case.arrays
    image = torch.from_numpy(stored["image"]).permute(2, 0, 1)
    factors, order = torch.from_numpy(stored["factors"]), torch.from_numpy(stored["order"])
    images = image.expand(len(factors), *image.shape).clone()
    for number, change in enumerate(CHANGES):
        ours = change(images, factors[:, number]).permute(0, 2, 3, 1).numpy().astype(int)
        atol = 1 if number == len(CHANGES) - 1 else 0
        np.testing.assert_allclose(ours, stored["single"][:, number].astype(int), rtol=0, atol=atol)
    ours = change_colors(images, factors, order).permute(0, 2, 3, 1).numpy().astype(int)
    np.testing.assert_allclose(ours, stored["image_after"].astype(int), rtol=0, atol=1)


def recipe(case: Case) -> dict[str, Tensor]:
    """Weights of the released network: one generator for all keys in their order, used or not."""
    params = case.params
    rng, weights = np.random.default_rng(params["recipe_seed"]), {}
    found = released.release("agw")
    for key in sorted(found.keys, key=lambda key: key.name):
        if key.name.startswith("NL_") and not params["non_local"]:
            continue
        name = key.name
        shape = tuple(params["num_classes"] if size == found.num_ids else size for size in key.shape)
        value = np.zeros(shape, np.int64) if name.endswith("num_batches_tracked") else _values(name, shape, rng)
        if key.used:
            weights[name] = torch.from_numpy(np.asarray(value))
    return weights


def _values(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.1 * z
    elif name.endswith("running_var"):
        value = 1 + 0.1 * abs(z)
    elif len(shape) >= 3:
        value = z * np.sqrt(2 / np.prod(shape[1:])) * (0.3 if ".NL_" in f".{name}" else 1)
    elif len(shape) == 2:
        value = z / np.sqrt(shape[1])
    elif name.endswith("bn3.weight"):
        value = 0.25 * (1 + 0.1 * z)
    elif name.endswith("weight"):
        value = 1 + 0.1 * z
    else:
        value = 0.1 * z
    return value.astype(np.float32)


@adapter("usl", "adca_network", "pgm_network")
def network(case: Case) -> None:
    """Embeddings of a view, of training and of test, and a training forward, in float64."""
    stored, params = case.arrays, case.params
    columns = slice(params["first_column"], None, params["column_step"])
    layout, config = ("agw", "sysu/pgm") if params["non_local"] else ("agw_base", "sysu/adca")
    net = vireid.create_model(config)
    weights = released.to_ours(layout, recipe(case))
    net.load_state_dict({name: value for name, value in weights.items() if "classifier" not in name}, strict=True)
    net.double().eval()

    def same(ours: Tensor, key: str) -> None:
        np.testing.assert_allclose(ours[:, columns].detach().numpy(), stored[key], rtol=1e-5, atol=1e-9)

    for name in ("visible", "infrared"):
        batch = batch_of(**{"visible": None, "infrared": None, name: stored[f"images_{name}"]})
        with torch.no_grad():
            one, both = net.embed(batch), with_mirror(net.embed)(batch)
        for ours, key in ((one, "one_view"), (both / 2, "train_feature"), (l2_normalize(both), "test_feature")):
            same(ours, f"{key}_{name}")
            np.testing.assert_allclose(ours.norm(dim=1).numpy(), stored[f"norm_{key}_{name}"], rtol=1e-5)
    net.train()
    batch = batch_of(stored["images_visible"], stored["images_infrared"])
    out = net(batch).values
    for modality, name in enumerate(("visible", "infrared")):
        same(out["features_bn"][batch.modality == modality], f"train_bn_{name}")
        same(out["features"][batch.modality == modality], f"train_pool_{name}")
    mean = net.state_dict()["heads.id.neck.running_mean"][columns]
    np.testing.assert_allclose(mean.numpy(), stored["neck_running_mean_after"], rtol=1e-5, atol=1e-9)
