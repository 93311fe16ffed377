"""Check that identities that count as held out were not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import UserError
from vireid.runs.folder import RunFolder

_DRAW = ("HELDOUT_IDENTITIES", "SEED")  # settings that decide which identities are held out


def require_not_trained_on(checkpoint: Path, settings: dict[str, Any]) -> None:
    """Require that a run held out the identities that these settings hold out of the same dataset.

    Args:
        checkpoint: Checkpoint folder of the run.
        settings: Values of HELDOUT_IDENTITIES and SEED of the evaluation.

    Raises:
        UserError: If the run held out others, or if that is not known.
    """
    folder = RunFolder(checkpoint.parent.parent)
    stored = parse(folder.read_config()).value if folder.config.is_file() else None
    if not isinstance(stored, dict):
        raise UserError(
            f"{checkpoint}: it is not known which identities were held out of the training of these weights, so that"
            " they cannot choose a threshold; name the run folder, or set OPEN_SET.THRESHOLD oracle"
        )
    differences = [
        f"{key} was {stored.get(key, 0)}, is {settings[key]}" for key in _DRAW if stored.get(key, 0) != settings[key]
    ]
    if differences:
        raise UserError(
            f"{folder.root}: {'; '.join(differences)}: identities that were trained on would choose the threshold; use"
            " the values of the training"
        )
