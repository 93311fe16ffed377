"""Every class of every registry keeps the promises of its kind. A class is tested the moment it is registered."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vireid.clustering
import vireid.data
import vireid.engine.optim
import vireid.evaluation
import vireid.losses
import vireid.models
import vireid.retrieval  # noqa: F401  importing all of these fills the registries
from vireid.core import registries
from vireid.core.binding import requested
from vireid.core.errors import DataError, UserError
from vireid.core.interfaces import AssignsLabels, EpochContext, TakesLabels
from vireid.core.registry import Entry, Registry
from vireid.core.rng import torch_generator
from vireid.core.types import DatasetInfo, EmbeddingTable, Modality, Sample, Trial
from vireid.engine.callbacks import Callback
from vireid.evaluation.open_set import heldout_searches
from vireid.testing import (
    TINY,
    build_example,
    check_adapter,
    check_attribute_source,
    check_backbone,
    check_head,
    check_insert,
    check_loss,
    check_no_wait,
    check_pool,
    check_stage,
    check_term_schedule,
    cluster_labels,
    tiny_batch,
    tiny_epoch,
    tiny_field,
    tiny_fields,
)

RUNTIME = {"samples", "seed", "rank", "world", "params"}  # positional or keyword: filled by the engine


def samples(identities: int = 4, each: int = 3) -> list[Sample]:
    """A training list of both modalities that lies nowhere."""
    return [
        Sample(path, identity, modality, camera=1 if modality == Modality.VISIBLE else 3)
        for identity in range(identities)
        for modality in Modality
        for path in [None] * each  # type: ignore[list-item]
    ]


def table(identities: int = 4) -> EmbeddingTable:
    """Unit rows of identities in all six cameras of SYSU-MM01, three images in each."""
    labels, cameras = np.meshgrid(np.arange(identities), np.arange(1, 7), indexing="ij")
    labels, cameras = labels.ravel().repeat(3), cameras.ravel().repeat(3)
    features = np.random.default_rng(0).normal(size=(len(labels), 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return EmbeddingTable(features, labels, cameras, np.isin(cameras, (3, 6)).astype(np.int64))


def check_dataset(entry: Entry) -> None:
    """Known numbers without a disk; a missing folder is one text."""
    dataset = build_example(entry.target)
    assert isinstance(dataset.placeholder, DatasetInfo)
    assert dataset.placeholder.num_ids > 1
    assert dataset.placeholder.num_cameras > 1
    for method in (dataset.train, dataset.test, dataset.facts):
        with pytest.raises(DataError):
            method()


def check_sampler(entry: Entry) -> None:
    """Both modalities in a batch; a function of (seed, epoch); as long as it says."""

    def batches(seed: int, epoch: int) -> list[list[int]]:
        sampler = build_example(entry.target, samples=samples(), seed=seed, rank=0, world=1)
        if isinstance(sampler, TakesLabels):
            sampler.set_labels(np.array([sample.identity + 4 * sample.modality for sample in samples()]))
        sampler.set_epoch(epoch)
        drawn = [list(rows) for rows in sampler]
        assert len(drawn) == len(sampler) > 0
        return drawn

    first = batches(0, 0)
    rows = samples()
    for batch in first:
        assert {rows[row].modality for row in batch} == set(Modality)
    assert first == batches(0, 0)
    assert first != batches(0, 1)
    assert first != batches(1, 0)


def check_augmentation(entry: Entry) -> None:
    """Draws for each image, from the generator that it is given and from nothing else."""
    batch, (height, width) = tiny_batch(), tiny_batch().images.shape[2:]

    def run(seed: int) -> tuple[torch.Tensor, ...]:
        step, generator = build_example(entry.target), torch_generator(seed)
        rows, columns = (torch.arange(size).expand(len(batch), -1).clone() for size in (height, width))
        rows, columns = step.locate(rows, columns, size=(height, width), generator=generator)
        pixels = step.color(batch.images.mul(60).clamp(0, 255).byte(), batch, generator=generator)
        values = step.enhance(batch.images.sigmoid(), batch, generator=generator)
        images = step.paint(batch.images.clone(), batch, generator=generator)
        return rows, columns, images, pixels, values

    first = run(0)
    shape = tuple(batch.images.shape)
    assert [tuple(t.shape) for t in first] == [(len(batch), height), (len(batch), width), shape, shape, shape]
    assert all(torch.isfinite(t).all() for t in first), "not finite"
    assert all(torch.equal(a, b) for a, b in zip(first, run(0), strict=True)), "not a function of the generator"
    assert any(not torch.equal(a, b) for a, b in zip(first, run(1), strict=True)), (
        "it changes nothing, or not at random"
    )
    shifts = [first[0] - torch.arange(height), first[1] - torch.arange(width), first[2] - batch.images]
    shifts += [(first[3] != batch.images.mul(60).clamp(0, 255).byte()).any(dim=1), first[4] - batch.images.sigmoid()]
    assert any(len(shift.flatten(1).unique(dim=0)) > 1 for shift in shifts), "every image got the same draw"


def check_optimizer(entry: Entry) -> None:
    """Goes downhill, and a copy that loads its state goes on as it does."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, generator=generator)
    runs = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    first, second = (build_example(entry.target, params=[{"params": [parameter]}], lr=0.01) for parameter in runs)

    def step(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> float:
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    values = [step(first, runs[0]) for _ in range(5)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    runs[1].data.copy_(runs[0].data)
    assert [step(first, runs[0]) for _ in range(3)] == [step(second, runs[1]) for _ in range(3)]


def check_lr_schedule(entry: Entry) -> None:
    """A factor in (0, 1] for any epoch, the same each time."""
    schedule = build_example(entry.target)
    factors = [schedule(epoch) for epoch in range(200)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors == [schedule(epoch) for epoch in range(200)]


def check_callback(entry: Entry) -> None:
    """A callback has all hooks, and a state of plain values that another one takes."""
    callback = build_example(entry.target)
    assert isinstance(callback, Callback)
    state = callback.state_dict()
    build_example(entry.target).load_state_dict(state)
    assert callback.state_dict() == state


def check_protocol(entry: Entry) -> None:
    """Trials are row selections, the same each time, of rows that exist."""
    protocol, rows = build_example(entry.target), table()
    trials = list(protocol.trials(rows))
    assert trials
    assert protocol.metric
    assert {"protocol", "direction", "trials"} <= set(protocol.conditions)
    assert len({trial.name for trial in trials}) == len(trials)
    queries, answers = set(protocol.query_rows(rows).tolist()), set(protocol.gallery_rows(rows).tolist())
    for trial, again in zip(trials, protocol.trials(rows), strict=True):
        assert np.array_equal(trial.gallery, again.gallery)
        assert set(trial.query.tolist()) <= queries
        assert set(trial.gallery.tolist()) <= answers
        assert max(queries | answers) < len(rows)
        assert len(set(trial.gallery.tolist())) == len(trial.gallery)
        junk = trial.junk(trial.query, trial.gallery)
        assert junk.shape == (len(trial.query), len(trial.gallery))
        assert junk.dtype == bool
        counted = (rows.labels[trial.query][:, None] == rows.labels[trial.gallery][None]) & ~junk
        assert counted.any(axis=1).all()


def check_similarity(entry: Entry) -> None:
    """Dot products of unit rows, whole, in float32."""
    rows = table().embeddings
    scores = build_example(entry.target)(rows[:5], rows)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, rows[:5] @ rows.T, rtol=0, atol=1e-5)


def check_reranker(entry: Entry) -> None:
    """Similarities of the right shape that follow the rows of the gallery, and put a copy of a query first."""
    rows = table(identities=8).embeddings
    queries, gallery = rows[1::3], np.concatenate([rows[0::3], rows[1::3]])
    rerank = build_example(entry.target)
    scores = rerank(queries, gallery)
    assert scores.shape == (len(queries), len(gallery))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(rerank(queries, gallery[::-1]), scores[:, ::-1], rtol=0, atol=1e-4)
    assert (scores.argmax(axis=1) == np.arange(len(queries)) + len(rows[0::3])).mean() > 0.9
    assert rerank(queries.astype(np.float64), gallery).dtype == np.float64
    assert rerank.description
    with pytest.raises(DataError, match="not finite"):
        rerank(np.full_like(queries, np.nan), gallery)


def check_index(entry: Entry) -> None:
    """Unit rows find themselves, in any number of portions, filtered or not, and again after a file."""
    if entry.name in OPTIONAL:
        pytest.importorskip(OPTIONAL[entry.name], reason=f"{entry.name} is not installed")
    rows = np.random.default_rng(0).standard_normal((90, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        index = build_example(entry.target, **ADDRESSES.get(entry.name, lambda folder: {})(folder))
        assert len(index) == 0
        with pytest.raises(UserError, match="the gallery is empty"):
            index.search(rows[:2], 3)
        index.add(rows[:50])
        index.add(3 * rows[50:])
        assert len(index) == len(rows)
        scores, ids = index.search(2 * rows[:30], 5)
        assert (scores.dtype, ids.dtype, ids.shape) == (np.float32, np.int64, (30, 5))
        assert (ids == np.arange(30)[:, None]).any(
            axis=1
        ).mean() > 0.4  # chance is 0.06; codes made from so few vectors are coarse
        if index.exact:
            np.testing.assert_array_equal(ids[:, 0], np.arange(30))
            np.testing.assert_allclose(scores, np.sort(rows[:30] @ rows.T)[:, :-6:-1], rtol=0, atol=1e-5)
        odd = np.arange(len(rows)) % 2 == 1
        assert (index.search(rows[:30], 5, odd)[1] % 2 == 1).all()
        few, beyond = index.search(rows[:2], 40, np.arange(len(rows)) < 3)
        assert (beyond >= 0).sum(axis=1).tolist() == [3, 3]
        assert ((beyond == -1) == (few == -np.inf)).all()
        index.save(Path(folder, "index.bin"))
        assert index.description


OPTIONAL = {"Milvus": "milvus_lite"}  # what a machine may do without
ADDRESSES = {"Milvus": lambda folder: {"address": f"{folder}/milvus.db"}}


def check_open_set(entry: Entry) -> None:
    """Two evaluations agree, all rates are in [0, 1], and the JSON gives the same report."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(8), 3)
    trial = Trial("", np.arange(24), np.arange(24), lambda q, g: np.eye(24, dtype=bool)[q][:, g])
    table = EmbeddingTable(np.zeros((24, 1), np.float32), labels, labels, labels)
    scores = rng.normal(size=(24, 24)) + 2 * (labels[:, None] == labels)
    heldout = heldout_searches(scores, labels, labels, np.eye(24, dtype=bool), enrolled=4)
    open_set = build_example(entry.target)
    first, again = (
        open_set([trial], lambda _: scores, table, heldout if open_set.needs_heldout else None) for _ in range(2)
    )
    assert first == again
    assert type(first).from_json(json.loads(json.dumps(first.to_json()))) == first
    for rates in first.rates:
        for rate in (rates.fpir, *rates.fnir.values()):
            assert 0 <= rate.interval[0] <= rate.interval[1] <= 1
            assert 0 <= rate.mean <= 1


def check_label_source(entry: Entry) -> None:
    """The same contiguous clusters each time, of visible images first; nothing else is read than the embeddings."""
    source = build_example(entry.target)
    if not isinstance(source, AssignsLabels):
        return
    centers, modality = np.repeat(np.eye(6), 20, axis=0), np.arange(120) % 2
    rows = centers + 0.02 * np.random.default_rng(0).standard_normal(centers.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    true = np.arange(120) // 20
    labels = source.assign(EmbeddingTable(rows, labels=np.full(120, -1), cameras=modality, modality=modality))
    again = source.assign(EmbeddingTable(rows, labels=true, cameras=true, modality=modality))
    np.testing.assert_array_equal(labels.labels, again.labels)
    for each, first, number in (
        (Modality.VISIBLE, 0, labels.visible_clusters),
        (Modality.INFRARED, labels.visible_clusters, labels.infrared_clusters),
    ):
        assert number > 0
        found = labels.labels[modality == each]
        assert set(found[found >= 0].tolist()) == set(range(first, first + number))


def of_part(check):
    return lambda entry: check(lambda: build_example(entry.target))


def of_clusters(target) -> dict[str, Any]:
    """Fields and start of an epoch for a loss that needs clusters."""
    if not getattr(target, "needs_clusters", False):
        return {}
    return {"fields": {"labels": cluster_labels(tiny_batch())}, "context": tiny_epoch(tiny_batch())}


def check_loss_entry(entry: Entry) -> None:
    check_loss(lambda: build_example(entry.target), **of_clusters(entry.target))


CONTRACTS = {
    "BACKBONES": of_part(check_backbone),
    "INSERTS": of_part(check_insert),
    "POOLS": of_part(check_pool),
    "ADAPTERS": of_part(check_adapter),
    "STAGES": of_part(check_stage),
    "ATTRIBUTE_SOURCES": of_part(check_attribute_source),
    "HEADS": of_part(check_head),
    "LOSSES": check_loss_entry,
    "TERM_SCHEDULES": of_part(check_term_schedule),
    "DATASETS": check_dataset,
    "SAMPLERS": check_sampler,
    "LABEL_SOURCES": check_label_source,
    "AUGMENTATIONS": check_augmentation,
    "OPTIMIZERS": check_optimizer,
    "LR_SCHEDULES": check_lr_schedule,
    "CALLBACKS": check_callback,
    "PROTOCOLS": check_protocol,
    "SIMILARITIES": check_similarity,
    "RERANKERS": check_reranker,
    "INDEXES": check_index,
    "OPEN_SETS": check_open_set,
}


def entries() -> Iterator[tuple[str, Registry, str]]:
    for kind, registry in registries.ALL.items():
        yield from (pytest.param(kind, registry.get(name), id=f"{kind}/{name}") for name in registry)


@pytest.mark.parametrize(("kind", "entry"), entries())
def test_a_part_keeps_the_promises_of_its_kind(kind, entry):
    assert kind in CONTRACTS, f"no contract is written for {kind}: add one here, it tests {entry.name} and all to come"
    with torch.random.fork_rng():
        torch.manual_seed(0)  # a bottleneck of a few units may start with all of them inactive
        CONTRACTS[kind](entry)


def on_meta(names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Fields without values; those that a network computes ask for gradients."""
    fields = {name: value.to("meta") for name, value in tiny_fields(names, tiny_batch()).items()}
    return {name: value.requires_grad_(value.is_floating_point()) for name, value in fields.items()}


def stage_inputs() -> list[torch.Tensor]:
    fields = on_meta(["features_bn", "feature_map", "attributes"])
    return [fields["features_bn"][:, None], fields["feature_map"], fields["attributes"]]


def run_loss(loss: Any) -> Any:
    """Run a loss on the meta device, at the start of an epoch if it needs clusters."""
    context: EpochContext | None = of_clusters(type(loss)).get("context")
    if context is not None:
        loss.start_epoch(context)
    return loss(**on_meta(requested(loss)))


WAITS = {
    "INSERTS": lambda insert: insert.build(16).to("meta")(tiny_field("feature_map", tiny_batch()).to("meta")),
    "POOLS": lambda pool: pool(**on_meta(requested(pool))),
    "ADAPTERS": lambda adapter: adapter(**on_meta(requested(adapter)))[0],
    "STAGES": lambda stage: stage(*stage_inputs()),
    "ATTRIBUTE_SOURCES": lambda source: source(**on_meta(requested(source)))[1],
    "HEADS": lambda head: head(**on_meta(requested(head))),
    "LOSSES": run_loss,
}


@pytest.mark.parametrize(("kind", "entry"), [entry for entry in entries() if entry.values[0] in WAITS])
def test_no_part_waits_for_the_device(kind, entry):
    check_no_wait(lambda: build_example(entry.target), WAITS[kind])


@pytest.mark.parametrize(("kind", "entry"), entries())
def test_a_part_is_documented_and_its_arguments_are_keywords_with_types(kind, entry):
    assert entry.target.__doc__, f"{entry.name} has no docstring"
    for name, parameter in entry.parameters().items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            assert "__init__" not in vars(entry.target), f"{entry.name} takes *{name}: its arguments cannot be checked"
            continue
        assert parameter.annotation is not parameter.empty, f"{entry.name}: {name} has no type"
        assert name in RUNTIME or parameter.kind is parameter.KEYWORD_ONLY, f"{entry.name}: {name} is no keyword"


@pytest.mark.parametrize("kind", ["BACKBONES", "POOLS", "HEADS", "LOSSES", "DATASETS", "SAMPLERS", "PROTOCOLS"])
def test_registries_are_full(kind):
    assert len(registries.ALL[kind]) > 0


def test_tiny_facts_are_enough_for_every_constructor():
    assert all(value > 1 for value in (TINY.num_ids, TINY.num_cameras, TINY.num_attributes, TINY.channels))
