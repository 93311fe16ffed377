"""Preparation of a run folder, and the check that a run in it may be continued."""

from __future__ import annotations

from vireid.config import show
from vireid.config.build import Build
from vireid.config.checked import CheckedConfig
from vireid.engine.checkpoint import CheckpointFolder
from vireid.runs.folder import RunFolder
from vireid.runs.inputs import NOT_RECORDED, RunInputs
from vireid.runs.listing_record import ListingRecord


def prepare_folder(
    folder: RunFolder, checkpoints: CheckpointFolder, checked: CheckedConfig, inputs: RunInputs, *, resume: bool
) -> None:
    """Write the configuration and the training listing of a run.

    Args:
        folder: The run folder.
        checkpoints: Its checkpoints.
        checked: The configuration.
        inputs: What the run is made from now.
        resume: Continue the run in the folder if there is one.

    Raises:
        UserError: If the folder holds a run, or with what prevents it from being continued.
    """

    def differences(old: str) -> list[str]:
        for change in show.named_changes(old, checked.config):
            print(f"resuming with another setting: {change}")
        return show.differences(old, checked)

    folder.prepare(
        show.resolved_text(checked),
        resume=resume,
        differences=differences,
        input_changes=lambda: _input_changes(folder, checkpoints, checked, inputs),
    )
    inputs.training.write(folder.listing)


def _input_changes(
    folder: RunFolder, checkpoints: CheckpointFolder, checked: CheckedConfig, inputs: RunInputs
) -> list[str]:
    """What prevents the run in the folder from being continued, in addition to its configuration."""
    wanted, finished, problems = Build(checked).epochs(), checkpoints.epochs()[-1], []
    if wanted < finished:
        problems.append(
            f"it has finished {finished} epochs and SOLVER.EPOCHS is {wanted}; set it to {finished} or more"
            " (--eval-only evaluates the run as it is)"
        )
    stored = checkpoints.stored_inputs()
    if stored is None:
        print(f"{folder.root}: {NOT_RECORDED}")
        return problems
    listing = ListingRecord.read(folder.listing)
    problems += inputs.training_changes(stored, listing, compared=lambda key: not show.may_change(key))
    return problems + (inputs.test_changes(stored) if checked.config.SELECT == "test" else [])


def stored_run(checkpoints: CheckpointFolder) -> tuple[bool, bool]:
    """Whether there is a checkpoint to continue from, and whether its inputs are known."""
    epochs = checkpoints.epochs()
    return bool(epochs), not epochs or checkpoints.stored_inputs() is not None
