"""Evaluations of the runs of a suite on other datasets (EVALUATE_ON): planned, performed, and kept while they hold."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.io import content_digest
from vireid.engine.checkpoint import CheckpointFolder
from vireid.engine.launch import parent_variable
from vireid.runs.folder import RunFolder
from vireid.suites.inputs import evaluation_changes, recorded, remark
from vireid.suites.plan import Evaluation, Run
from vireid.suites.runs import Outcome, RunStore, failure_reason

WEIGHTS = "WEIGHTS"


def evaluation_folder(run_folder: Path, evaluation: Evaluation) -> RunFolder:
    """Return the folder of an evaluation below that of its run; another config has another folder."""
    return RunFolder(run_folder).evaluation(f"{evaluation.name}-{evaluation.address}")


def key_of(run: Run, evaluation: Evaluation) -> str:
    """Return the key of the outcome of an evaluation, next to that of the run under its address."""
    return f"{run.address}/{evaluation.name}"


def evaluation_outcome(store: RunStore, trained: Outcome, run: Run, evaluation: Evaluation) -> Outcome | None:
    """Return the result of an evaluation of a trained run; None if it is missing or was made from other inputs."""
    folder = evaluation_folder(trained.folder, evaluation)
    inputs, now = recorded(folder.root), store.inputs.of(evaluation)
    if not folder.evaluated or changes(store, trained, evaluation):
        return None
    return Outcome(key_of(run, evaluation), True, "", folder.root, trained.remark or remark(inputs, now))


def changes(store: RunStore, trained: Outcome, evaluation: Evaluation) -> list[str]:
    """Return what changed since an evaluation, one sentence each: the test dataset, plug-ins, the trained weights."""
    inputs, now = recorded(evaluation_folder(trained.folder, evaluation).root), store.inputs.of(evaluation)
    if inputs is None or now is None:
        return []
    found = evaluation_changes(inputs, now)
    weights = CheckpointFolder(RunFolder(trained.folder).checkpoints).selected()
    stored = (inputs.get("files") or {}).get(WEIGHTS)
    if weights is not None and stored and content_digest(weights) != stored:
        found.append("the selected checkpoint changed")
    return found


def evaluation_command(store: RunStore, trained: Outcome, evaluation: Evaluation) -> list[str]:
    """Return the command that evaluates a trained run.

    Raises:
        UserError: If the run has no checkpoint.
    """
    weights = CheckpointFolder(RunFolder(trained.folder).checkpoints).selected()
    if weights is None:
        raise UserError(f"{trained.folder}: has no checkpoint to evaluate; delete the folder and train the run again")
    out = evaluation_folder(trained.folder, evaluation).root
    words = ["--config-file", str(evaluation.config), "--eval-only", WEIGHTS, str(weights), "OUTPUT_DIR", str(out)]
    return [*store.python(), *words]


def evaluate_all(
    store: RunStore,
    runs: Mapping[str, Run],
    trained: Mapping[str, Outcome],
    *,
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Perform every evaluation that is missing; one that fails does not stop the others.

    Args:
        store: The run folders.
        runs: All runs of the suite by address.
        trained: Outcome of each run by address.
        jobs: Number of evaluations in parallel.
        say: Prints one line.

    Returns:
        Outcome of each evaluation by `key_of`.
    """

    def one(pair: tuple[Run, Evaluation]) -> Outcome:
        run, evaluation = pair
        outcome = trained[run.address]
        if not outcome.done:
            return Outcome(key_of(run, evaluation), False, f"the training failed: {outcome.reason}")
        if (known := evaluation_outcome(store, outcome, run, evaluation)) is not None:
            return known
        if changed := changes(store, outcome, evaluation):
            say(f"{key_of(run, evaluation)} is evaluated again: {'; '.join(changed)}")
        result = _evaluate(store, outcome, run, evaluation)
        say(f"{key_of(run, evaluation)}: {'evaluated' if result.done else f'FAILED: {result.reason}'}")
        return result

    pairs = [(run, evaluation) for run in runs.values() for evaluation in run.evaluations]
    with ThreadPoolExecutor(jobs) as pool:
        return {outcome.address: outcome for outcome in pool.map(one, pairs)}


def collected_evaluations(
    store: RunStore, runs: Mapping[str, Run], trained: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Find the evaluations of runs that were trained elsewhere; a missing one counts as failed."""
    found = {}
    for run in runs.values():
        for evaluation in run.evaluations:
            key, outcome = key_of(run, evaluation), trained[run.address]
            known = evaluation_outcome(store, outcome, run, evaluation) if outcome.done else None
            found[key] = known or Outcome(key, False, outcome.reason or "its run was not evaluated on this dataset")
    return found


def _evaluate(store: RunStore, trained: Outcome, run: Run, evaluation: Evaluation) -> Outcome:
    folder, key = evaluation_folder(trained.folder, evaluation), key_of(run, evaluation)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.metrics.unlink(missing_ok=True)  # of other inputs
    try:
        command: Sequence[str] = evaluation_command(store, trained, evaluation)
    except UserError as error:
        return Outcome(key, False, str(error))
    output = folder.root / "output.txt"
    with output.open("a", encoding="utf-8") as file:
        file.write(f"$ {shlex.join(command)}\n")
        file.flush()
        environment = {**os.environ, **parent_variable()}
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    done = code == 0 and folder.evaluated
    kept = trained.remark or remark(recorded(folder.root), store.inputs.of(evaluation)) if done else ""
    return Outcome(key, done, "" if done else failure_reason(output, code), folder.root, kept)
