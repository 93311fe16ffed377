"""Checks of a run's settings against the listing of its dataset, before an image is read.

`vireid train` and `vireid check-data` run the same checks: protocols, held-out identities, sampler, attribute labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vireid.config.build import Build
from vireid.config.labels import without_annotation
from vireid.core.errors import ConfigError, DataError, Finding, Problem, UserError
from vireid.core.types import DatasetInfo, Sample
from vireid.data.heldout import hold_out
from vireid.data.listing import DatasetListing


def require_evaluations(build: Build) -> None:
    """Require that the evaluations happen from which SELECT chooses, and that there is a protocol.

    Raises:
        ConfigError: With everything that is missing.
    """
    config, epochs, problems = build.config, build.epochs(), []
    every = config.EVALUATE_EVERY
    if config.SELECT != "last" and every > epochs:
        text = f"= {config.SELECT!r} chooses among evaluations, and EVALUATE_EVERY = {every} makes none in {epochs}"
        problems.append(Problem(f"{text} epochs; set it to {epochs} or less", key="SELECT"))
    if not build.evaluators():
        problems.append(Problem("is empty: name at least one protocol", key="EVALUATION"))
    if problems:
        raise ConfigError(problems)


def protocol_notes(build: Build, samples: Sequence[Sample], camera_names: Mapping[int, str]) -> list[str]:
    """Run every protocol of EVALUATION on the test images without embeddings.

    Returns:
        A line for skipped queries and for each setting without effect.

    Raises:
        DataError: With the faults of all protocols.
    """
    faults, notes = _protocols(build, samples, camera_names)
    if len(faults) == 1:
        raise DataError(str(faults[0]))
    if faults:
        raise DataError("the test images do not have what the protocols need", faults)
    return notes


def heldout_notes(build: Build, held: Sequence[Sample], camera_names: Mapping[int, str]) -> list[str]:
    """The same for the evaluator of held-out identities; empty if none are held out."""
    if not held:
        return []
    coverage = build.heldout_evaluator().validate(held, camera_names)
    notes = [f"HELDOUT_IDENTITIES: {line}" for line in coverage.lines()]
    for name, evaluator in build.evaluators().items():
        if evaluator.open_set is not None and evaluator.open_set.needs_heldout:
            coverage = evaluator.validate(held, camera_names)
            evaluator.open_set.require_searches(coverage.trials[0].queries)
            lines = coverage.lines()
            notes += [f"EVALUATION.{name.upper()}.OPEN_SET, held-out identities: {line}" for line in lines]
    return notes


def listing_findings(build: Build, listing: DatasetListing) -> list[Finding]:
    """Faults that stop a training, and notes, of a listing that has no faults of its own."""
    config = build.config
    faults, notes = _protocols(build, listing.test, listing.camera_names)

    def attempt(step: Callable[[], Sequence[str] | None]) -> None:
        try:
            notes.extend(step() or [])
        except ConfigError as error:
            faults.extend(Finding(**vars(problem)) for problem in error.problems)
        except UserError as error:
            faults.append(Finding(str(error)))

    def divide() -> tuple[list[Sample], list[Sample]]:
        rows, held = hold_out(listing.train, identities=config.HELDOUT_IDENTITIES, seed=config.SEED)
        return build.training_samples([listing.train[row] for row in rows]), [listing.train[row] for row in held]

    attempt(lambda: require_evaluations(build))
    attempt(lambda: heldout_notes(build, divide()[1], listing.camera_names))
    if not faults or not config.HELDOUT_IDENTITIES:
        attempt(lambda: build.sampler(divide()[0]) and None)
    if build.reads_attributes:
        model = build.with_info(_info(build, listing)).model
        attempt(lambda: model(weights=False).validate(listing.test))
    remarks = [Finding(text, kind="notes", severity="note") for text in notes]
    return [*dict.fromkeys(faults), *remarks]


def _info(build: Build, listing: DatasetListing) -> DatasetInfo:
    """The numbers of the listing, as the dataset returns them for training."""
    samples = [*listing.train, *listing.test]
    widths = {len(sample.attributes) for sample in samples if sample.attributes is not None}
    identities = len({sample.identity for sample in listing.train}) - build.config.HELDOUT_IDENTITIES
    attributes = max(widths, default=build.info.num_attributes)
    info = replace(build.info, num_ids=max(identities, 1), num_attributes=attributes)
    return without_annotation(info) if build.makes_labels else info


def _protocols(
    build: Build, samples: Sequence[Sample], camera_names: Mapping[int, str]
) -> tuple[list[Finding], list[str]]:
    faults, notes = [], []
    for name, evaluator in build.evaluators().items():
        key = f"EVALUATION.{name.upper()}"
        try:
            coverage = evaluator.validate(samples, camera_names)
        except DataError as error:
            faults.append(Finding(f": {error}", key=key, kind="protocol"))
            continue
        notes += [f"{key}: {line}" for line in coverage.lines()]
    return faults, notes
