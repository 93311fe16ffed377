"""Every protocol and sampler with 1, 2 and 3 identities or images and with extreme labels: a result, or one error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vireid.data
import vireid.evaluation  # noqa: F401  fills the registries
from vireid.core.errors import UserError
from vireid.core.labels import int64_array
from vireid.core.registries import PROTOCOLS, SAMPLERS
from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.evaluation import Evaluator
from vireid.retrieval import Similarity
from vireid.testing import build_example

VIS, NIR = Modality.VISIBLE, Modality.INFRARED
LARGEST = 2**63 - 1


def images(identities, cameras, each=1):
    """Samples of each identity in each camera; cameras: (modality, camera)."""
    return [
        Sample(Path(f"/data/cam{camera}/{identity}/{shot + 1}.jpg"), identity, modality, camera, time=float(shot))
        for identity in identities
        for modality, camera in cameras
        for shot in range(each)
    ]


SYSU = [(VIS, 1), (VIS, 2), (NIR, 3), (VIS, 4), (VIS, 5), (NIR, 6)]
TABLES = {
    "no image": [],
    "one image": images([1], [(VIS, 1)]),
    "two images": images([1], [(VIS, 1), (NIR, 3)]),
    "three images": images([1], [(VIS, 1), (VIS, 2), (NIR, 3)]),
    "one identity": images([1], SYSU),
    "two identities": images([1, 2], SYSU, 2),
    "three identities": images([0, 1, 2], SYSU, 3),
    "nobody on both sides": [*images([1], [(VIS, 1)]), *images([2], [(NIR, 6)])],
    "camera 0": images([1, 2], [(VIS, 0), (NIR, 0)]),
    "largest identities": images([0, LARGEST - 1, LARGEST], SYSU),
    "largest cameras": images([1, 2], [(VIS, 2**31), (VIS, LARGEST), (NIR, LARGEST), (NIR, 2**31)]),
    "negative labels": images([-1, -(2**63)], [(VIS, -1), (NIR, -(2**63))]),
    "identities beyond 64 bits": images([2**63], SYSU),
    "cameras beyond 64 bits": images([1], [(VIS, 10**21), (NIR, 6)]),
}
RESULTS = {"two identities", "three identities", "largest identities"}  # every protocol can measure these


def table_of(samples):
    """Unit rows in which images of one identity are near each other."""
    columns = [int64_array((getattr(s, n) for s in samples), n) for n in ("identity", "camera", "modality")]
    rng = np.random.default_rng(0)
    centers = {identity: rng.normal(size=8) for identity in np.unique(columns[0]).tolist()}
    features = np.array([centers[i] for i in columns[0].tolist()]).reshape(-1, 8) + 0.01 * rng.normal(
        size=(len(samples), 8)
    )
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return EmbeddingTable(features, *columns, samples=samples)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_protocols_measure_or_refuse(protocol, name):
    samples = TABLES[name]
    evaluator = Evaluator(build_example(PROTOCOLS.get(protocol).target), similarity=Similarity())
    try:
        found = evaluator.validate(samples)
    except UserError:
        if name in RESULTS:
            raise
        return
    report = evaluator(table_of(samples))  # what was not refused before training can be measured
    assert [t.skipped for t in found.trials] == [scores.skipped for scores in report.trials.values()]
    assert report.mean.rank(1) == pytest.approx(1.0)


@pytest.mark.parametrize("protocol", PROTOCOLS.names())
def test_the_large_tables_are_results(protocol):
    evaluator = Evaluator(build_example(PROTOCOLS.get(protocol).target), similarity=Similarity())
    for name in RESULTS:
        assert evaluator.validate(TABLES[name]).trials[0].counted > 0


TRAINING = {
    **{name: samples for name, samples in TABLES.items() if name not in ("one image", "two images", "three images")},
    "one image of each": images([0, 1], [(VIS, 1), (NIR, 3)]),
    "two images of each": images([0, 1], [(VIS, 1), (NIR, 3)], 2),
    "three images of each": images([0, 1, 2], [(VIS, 1), (NIR, 3)], 3),
    "one modality": images([0, 1, 2], [(VIS, 1)], 3),
    "one image and many": [*images([0], [(VIS, 1), (NIR, 3)]), *images([1], [(VIS, 1), (NIR, 3)], 20)],
}
DRAWN = {"two images of each", "three images of each", "largest identities", "two identities", "largest cameras"}


SIZES = [(identities, per, steps) for identities in (1, 2, 3) for per in (1, 2, 3, 50) for steps in (None, 1, 5)]


OF_IDENTITIES = [name for name in SAMPLERS.names() if "identities" in SAMPLERS.get(name).parameters()]


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("sampler", OF_IDENTITIES)
def test_samplers_draw_or_refuse(sampler, name):
    samples, target, drawn = TRAINING[name], SAMPLERS.get(sampler).target, 0
    blind = "per_identity" in SAMPLERS.get(sampler).parameters()  # it does not distinguish the modalities
    for identities, per_modality, steps in SIZES:
        try:
            numbers = {"per_identity": 2 * per_modality} if blind else {"per_modality": per_modality}
            built = target(samples, identities=identities, **numbers, steps=steps, seed=0)
            batches = list(built)
        except UserError:
            if name in DRAWN and len({s.identity for s in samples}) >= identities and per_modality <= 2:
                raise
            continue
        drawn += 1
        assert len(batches) == len(built) > 0
        assert steps is None or len(batches) == steps
        for batch in batches[:3]:
            rows = [samples[row] for row in batch]
            if blind:
                check_identities([sample.identity for sample in rows], identities, 2 * per_modality)
            else:
                check_batch(rows, identities, per_modality)
    assert drawn or name not in DRAWN


def check_identities(labels, identities, per_identity):
    """P identities, K images of each."""
    assert len(labels) == identities * per_identity
    assert {labels.count(label) for label in labels} == {per_identity}


def check_batch(rows, identities, per_modality):
    """P identities, K visible and K infrared images of each."""
    assert len(rows) == 2 * identities * per_modality
    for modality in Modality:
        of_modality = [sample.identity for sample in rows if sample.modality == modality]
        assert len(of_modality) == identities * per_modality
        assert {of_modality.count(identity) for identity in of_modality} == {per_modality}
