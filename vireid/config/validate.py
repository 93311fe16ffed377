"""Check the settings of a run against the listing of its dataset, before an image is read.

`train_net.py` and `check_data.py` run the same checks: protocols, held-out identities, sampler, attribute labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vireid.config import assemble
from vireid.config.load import Config
from vireid.config.plan import make_plan
from vireid.core.errors import ConfigError, DataError, Finding, UserError
from vireid.core.types import DatasetInfo, Sample
from vireid.data.heldout import hold_out, relabelled
from vireid.data.listing import DatasetListing
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.protocols.query_gallery import QueryGalleryProtocol


def heldout_evaluator(config: Config) -> Evaluator:
    """The evaluator of held-out training identities: all infrared images against all visible ones."""
    protocol = QueryGalleryProtocol(direction="infrared_to_visible")
    return Evaluator(protocol, score=assemble.scorer(config))


def require_evaluations(config: Config) -> None:
    """ConfigError where SELECT chooses among evaluations that never happen, or no protocol is left to evaluate by."""
    every, epochs, faults = config.EVALUATE_EVERY, assemble.epochs(config), []
    if config.SELECT != "last" and every > epochs:
        choice = f"SELECT = {config.SELECT!r} chooses among evaluations, and EVALUATE_EVERY = {every}"
        faults.append(f"{choice} makes none in {epochs} epochs; set it to {epochs} or less")
    if not assemble.evaluators(config):
        faults.append("EVALUATION is empty: name at least one protocol")
    if faults:
        raise ConfigError(faults)


def protocol_notes(config: Config, samples: Sequence[Sample], camera_names: Mapping[int, str]) -> list[str]:
    """Run every protocol of EVALUATION on the test images without features.

    Returns a line for skipped queries and for each setting without effect. Raises one DataError with the faults of all
    protocols.
    """
    faults, notes = _protocols(config, samples, camera_names)
    _raise(faults)
    return notes


def heldout_notes(config: Config, held: Sequence[Sample], camera_names: Mapping[int, str]) -> list[str]:
    """The same for the evaluator of held-out identities; nothing where none are held out."""
    if not held:
        return []
    coverage = heldout_evaluator(config).validate(held, camera_names)
    return [f"HELDOUT_IDENTITIES: {line}" for line in coverage.lines()]


def listing_findings(config: Config, listing: DatasetListing) -> list[Finding]:
    """Faults because of which training would stop, and notes, of a listing without faults."""
    faults, notes = _protocols(config, listing.test, listing.camera_names)

    def attempt(step: Callable[[], Sequence[str] | None]) -> None:
        try:
            notes.extend(step() or [])
        except ConfigError as error:
            faults.extend(map(str, error.problems))
        except UserError as error:
            faults.append(str(error))

    def split() -> tuple[list[Sample], list[Sample]]:
        rows, held = hold_out(listing.train, identities=config.HELDOUT_IDENTITIES, seed=config.SEED)
        return relabelled([listing.train[row] for row in rows]), [listing.train[row] for row in held]

    attempt(lambda: require_evaluations(config))
    attempt(lambda: heldout_notes(config, split()[1], listing.camera_names))
    if not faults or not config.HELDOUT_IDENTITIES:
        attempt(lambda: assemble.sampler(config, split()[0]) and None)
    if make_plan(config).part("MODEL.ATTRIBUTES") is not None:
        attempt(lambda: assemble.model(config, _facts(config, listing), weights=False).validate(listing.test))
    findings = [Finding(text) for text in dict.fromkeys(faults)]
    return findings + [Finding(text, kind="notes", severity="note") for text in notes]


def _facts(config: Config, listing: DatasetListing) -> DatasetInfo:
    """The numbers of the listing, as `Dataset.facts` returns them."""
    samples = [*listing.train, *listing.test]
    widths = {len(sample.attributes) for sample in samples if sample.attributes is not None}
    people = len({sample.identity for sample in listing.train}) - config.HELDOUT_IDENTITIES
    known = assemble.facts_of(config)
    return replace(known, num_ids=max(people, 1), num_attributes=max(widths, default=known.num_attributes))


def _protocols(
    config: Config, samples: Sequence[Sample], camera_names: Mapping[int, str]
) -> tuple[list[str], list[str]]:
    faults, notes = [], []
    for name, evaluator in assemble.evaluators(config).items():
        try:
            coverage = evaluator.validate(samples, camera_names)
        except DataError as error:
            faults.append(f"EVALUATION.{name.upper()}: {error}")
            continue
        notes += [f"EVALUATION.{name.upper()}: {line}" for line in coverage.lines()]
    return faults, notes


def _raise(faults: Sequence[str]) -> None:
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        raise DataError("the test images do not have what the protocols need", faults)
