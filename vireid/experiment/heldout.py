"""Check that identities that count as held out were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import UserError
from vireid.engine.weights_origin import data_text, joined_parts, stored_facts, stored_inputs
from vireid.runs.folder import RunFolder

_DRAW = ("HELDOUT_IDENTITIES", "SEED")  # settings that decide which identities are held out


def require_same_dataset(checkpoint: Path, data: Mapping[str, Any]) -> None:
    """Require that weights were not trained on this dataset joined with others: other identities were held out then.

    Args:
        checkpoint: Checkpoint folder of the run.
        data: The dataset of the evaluation, such as {"data": "RegDB", "split": 3}.

    Raises:
        UserError: If the datasets differ.
    """
    facts = stored_facts(checkpoint)
    if facts and joined_parts(facts) != joined_parts(data):
        raise UserError(
            f"{checkpoint}: trained on {data_text(facts)}, of which other identities were held out than of"
            f" {data_text(data)}, so that they cannot choose a threshold; evaluate with the config of the training, or"
            " set OPEN_SET.THRESHOLD oracle"
        )


def require_not_trained_on(checkpoint: Path, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Require that a run held out the identities that these settings hold out of the same dataset.

    Args:
        checkpoint: Checkpoint folder of the run.
        settings: HELDOUT_IDENTITIES and SEED of the evaluation.
        inputs: `RunInputs.to_json` of the evaluation.

    Raises:
        UserError: If the run held out others or may have, or if that is not known.
    """
    folder = RunFolder(checkpoint.parent.parent)
    stored = parse(folder.read_config()).value if folder.config.is_file() else None
    if not isinstance(stored, dict):
        raise UserError(
            f"{checkpoint}: it is not known which identities were held out of the training of these weights, so that"
            " they cannot choose a threshold; name the run folder, or set OPEN_SET.THRESHOLD oracle"
        )
    before = {key: stored.get(key, 0) for key in _DRAW}
    differences = [f"{key} was {old}, is {settings[key]}" for key, old in before.items() if old != settings[key]]
    digests = [((each or {}).get("training") or {}).get("digest") for each in (stored_inputs(checkpoint), inputs)]
    if all(digests) and digests[0] != digests[1]:
        differences.append("the training listing changed")
    if differences:
        raise UserError(
            f"{folder.root}: {'; '.join(differences)}: identities that were trained on would choose the threshold; use"
            " the values of the training, or the test identities of another dataset (`vireid threshold --people test`)"
        )
