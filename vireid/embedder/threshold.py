"""Choose the thresholds and the calibration of a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from vireid.core.arrays import l2_normalized_rows
from vireid.core.errors import ArgumentError, UserError
from vireid.core.paths import normalized_path
from vireid.embedder.loading import describe, is_bundle, require_run
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.open_set.decision import CalibrationKind, DecisionRule, checked_rates
from vireid.experiment.experiment import Experiment
from vireid.retrieval.similarity import Similarity
from vireid.runs.folder import RunFolder
from vireid.runs.thresholds import write_thresholds

People = Literal["heldout", "test"]


def choose_thresholds(
    run: str | Path,
    *,
    fpir: Sequence[float] = (0.1,),
    people: People = "heldout",
    protocol: str | None = None,
    enrolled: int | None = None,
    confidence: float = 0.95,
    sure: bool = False,
    calibration: CalibrationKind | None = "logistic",
    overrides: Mapping[str, Any] | Sequence[Any] = (),
) -> DecisionRule:
    """Choose thresholds for wanted false positive identification rates and store them in the run.

    The scores are cosine similarities, as those of an embedder and of a gallery. Bundles of the run contain the result.

    Args:
        run: Run folder; its selected checkpoint is used.
        fpir: Wanted rates: the share of searches by persons who are not enrolled that report a match.
        people: "heldout": the identities that HELDOUT_IDENTITIES kept out of training; "test": those of the test set,
            which makes results on the same test set too good.
        protocol: Entry of EVALUATION whose sides and ignored pairs are used; None: the first.
        enrolled: Number of identities in the gallery of a search; None: half of them. FPIR increases with it: choose
            the number of persons of the gallery in use.
        confidence: Confidence of the intervals and of `sure`.
        sure: Choose limits whose rate is at most the wanted one with this confidence.
        calibration: "logistic", "isotonic" or None.
        overrides: Settings that win over those of the run, such as another dataset, as for `load_config`.

    Returns:
        The rule; it is in `RUN/thresholds.json`.

    Raises:
        UserError: If the folder is not a run, it held out no identities, or other ones than the overrides do.
        DataError: If there are too few searches for `sure`.
    """
    checked_rates("fpir", fpir)
    if people not in ("heldout", "test"):
        raise ArgumentError("people", f"must be 'heldout' or 'test', got {people!r}")
    folder = RunFolder(normalized_path(run))
    if is_bundle(folder.root):
        raise UserError(f"{folder.root}: is a bundle; choose the thresholds of its run, and write the bundle again")
    require_run(folder.root)
    words = (
        [*overrides] if not isinstance(overrides, Mapping) else [word for pair in overrides.items() for word in pair]
    )
    experiment = Experiment.from_config(folder.config, [*words, "OUTPUT_DIR", str(folder.root), "WEIGHTS", None])
    if people == "heldout" and experiment.config.HELDOUT_IDENTITIES < 2:
        raise UserError(
            f"{folder.root}: HELDOUT_IDENTITIES = {experiment.config.HELDOUT_IDENTITIES}, so that the run has no"
            " identities to choose a threshold from; train with HELDOUT_IDENTITIES 30 or more, or name the people of"
            " another dataset with --people test --set DATA.ROOT ..."
        )
    evaluator = _evaluator(experiment, protocol)
    network, selection, table = experiment.embedding_table(people)
    unit = l2_normalized_rows("embeddings", table.embeddings)
    searches = evaluator.heldout_searches(replace(table, embeddings=unit), enrolled=enrolled)
    conditions = {
        "data": str(table.conditions.get("data", "")),
        "people": "held-out identities" if people == "heldout" else "test identities",
        "checkpoint": selection,
        **{name: str(value) for name, value in evaluator.protocol.conditions.items()},
    }
    rule = DecisionRule.choose(
        searches, fpir=fpir, confidence=confidence, sure=sure, calibration=calibration, conditions=conditions
    ).of_model(describe(experiment, selection).fingerprint(network))
    write_thresholds(folder.thresholds, rule)
    return rule


def _evaluator(experiment: Experiment, protocol: str | None) -> Evaluator:
    """An evaluator by cosine similarity with the protocol of an entry of EVALUATION."""
    entries = experiment.build.evaluators()
    name = next(iter(entries)) if protocol is None else protocol.lower()
    if name not in entries:
        raise UserError(f"EVALUATION has no entry {protocol!r}; it has {', '.join(name.upper() for name in entries)}")
    return Evaluator(entries[name].protocol, similarity=Similarity())
