"""Attribute leak: the retrieval accuracy of the attribute labels of the test identities alone, without images.

A method that receives these labels at test time starts from this accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.labels import int64_array
from vireid.core.rng import numpy_generator
from vireid.core.text import counted, listed
from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.data.attributes import AttributeTable
from vireid.data.datasets.index_files import read_identities
from vireid.data.datasets.sysu import INFRARED_CAMERAS
from vireid.data.findings import Findings
from vireid.evaluation.attribute_matchers import matcher_named
from vireid.evaluation.evaluator import MeasuredProtocol
from vireid.evaluation.report import ORACLE, Report
from vireid.retrieval.metrics import Scores, measure


def attribute_only(
    samples: Sequence[Sample],
    protocol: MeasuredProtocol,
    *,
    matcher: str = "hamming",
    others: Sequence[Sample] = (),
    tie_breaks: int = 20,
    seed: int = 0,
    ranks: Sequence[int] = (1, 5, 10, 20),
) -> Report:
    """Rank test images by their attribute labels only.

    A few binary attributes tie most of the gallery, so each trial of the protocol is evaluated with `tie_breaks` random
    orders of ties, drawn for each query from (seed, trial, tie-break). Mean and spread of the report are over all of
    them. docs/attributes.md lists the numbers for SYSU-MM01.

    Args:
        samples: Test images; those without labels are left out of queries and gallery, and the conditions state how
            many.
        protocol: Evaluation protocol.
        matcher: "hamming", "exact" or "llr" (`attribute_matchers`).
        others: Images of other identities than those of the test, from which "llr" is fitted.
        tie_breaks: Number of random orders for each trial.
        seed: Random seed.
        ranks: Ranks to print.

    Raises:
        DataError: If no image has labels, or their numbers of attributes differ.
        UserError: For an unknown matcher.
    """
    if tie_breaks < 1 or seed < 0:
        raise UserError(f"tie_breaks must be at least 1 and seed at least 0, got {tie_breaks} and {seed}")
    match = matcher_named(matcher, others)
    table = _table(samples)
    trials: dict[str, Scores] = {}
    for number, trial in enumerate(protocol.trials(table)):
        levels = _levels(match, table.embeddings[trial.query], table.embeddings[trial.gallery])
        junk = trial.junk(trial.query, trial.gallery)
        for attempt in range(tie_breaks):
            order = numpy_generator(seed, number, attempt).random(
                levels.shape
            )  # below 1: the order of levels does not change
            trials[f"{trial.name}, tie-break {attempt}"] = measure(
                levels + order,
                table.labels[trial.query],
                table.labels[trial.gallery],
                junk=junk,
                cmc=protocol.metric,
                ranks=ranks,
            )
    conditions = {
        "feature": "attributes only, no image",
        "attribute_source": ORACLE,
        "checkpoint": "none",
        "matcher": matcher,
        "tie_breaks": f"{tie_breaks} (seed {seed})",
        "left_out": f"{len(samples) - len(table)} of {len(samples)} test images, which have no labels",
    }
    return Report(trials, {**protocol.conditions, **conditions})


def _table(samples: Sequence[Sample]) -> EmbeddingTable:
    """Build a table of the labeled samples, with the attribute codes as embeddings."""
    kept = [sample for sample in samples if sample.attributes is not None]
    if not kept:
        raise DataError(f"none of the {counted(len(samples), 'test image')} has attributes: set DATA.ATTRIBUTES")
    widths = sorted({len(sample.attributes or ()) for sample in kept})
    if len(widths) > 1:
        raise DataError(f"test images have different numbers of attributes: {listed(widths)}")
    labels, cameras, modality = (
        int64_array((getattr(sample, name) for sample in kept), name) for name in ("identity", "camera", "modality")
    )
    codes = np.array([sample.attributes for sample in kept], np.float32)
    return EmbeddingTable(codes, labels, cameras, modality, samples=kept)


def _levels(match, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Replace distances by levels 0, 1, 2, ...: (Q, A), (G, A) -> (Q, G); equal distances have one level.

    Identical codes are compared once, so that equal distances are bitwise equal.
    """
    left, rows = np.unique(query, axis=0, return_inverse=True)
    right, columns = np.unique(gallery, axis=0, return_inverse=True)
    distances = match(left, right).round(9)
    levels = np.unique(distances, return_inverse=True)[1].reshape(distances.shape).astype(np.float64)
    return levels[rows.reshape(-1)][:, columns.reshape(-1)]


def sysu_entries(table: AttributeTable, identities: Sequence[int]) -> list[Sample]:
    """Return one sample for each labeled (identity, camera) of SYSU-MM01, by identity and camera, without files.

    Raises:
        DataError: If the table has rows without a camera, or an identity has no label.
    """
    if any(camera is None for camera, _ in table.rows):
        raise DataError(
            f"{table.source} has rows without a camera: use the released files cam1_att.mat .. cam6_att.mat, or add a"
            " column `camera`"
        )
    unknown = sorted(set(identities) - table.identities())
    if unknown:
        text = counted(len(unknown), "identity", "identities")
        raise DataError(
            f"{table.source} has no label in any camera for {text} of {len(set(identities))}: {listed(unknown)}"
            f" (it labels {len(table.identities())}, between {min(table.identities())} and {max(table.identities())})"
        )
    selected = set(identities)
    keys = sorted((identity, camera) for camera, identity in table.rows if camera is not None and identity in selected)
    return [
        Sample(
            path=Path(f"cam{camera}/{identity:04d}"),
            identity=identity,
            modality=Modality.INFRARED if camera in INFRARED_CAMERAS else Modality.VISIBLE,
            camera=camera,
            attributes=attributes,
        )
        for identity, camera in keys
        if (attributes := table.lookup(camera, identity)) is not None
    ]


def read_test_identities(file: Path) -> list[int]:
    """Read identities from a file like `exp/test_id.txt` of SYSU-MM01: separated by commas or line ends.

    Raises:
        DataError: If the file is missing, empty or holds anything else.
    """
    findings = Findings()
    names = read_identities(file, str(file), findings)
    findings.raise_if_any(f"the list of identities {file} cannot be used")
    return [int(name) for name in names]
