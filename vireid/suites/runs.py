"""Train the runs of a suite, each in its own process; finished runs are kept and interrupted runs are resumed."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from vireid.core.errors import UserError
from vireid.core.io import write_json
from vireid.engine.launch import parent_variable
from vireid.runs.folder import RunFolder, evaluated_folders
from vireid.runs.inputs import RunInputs
from vireid.suites.inputs import (
    CurrentInputs,
    evaluation_changes,
    recorded,
    remark,
    training_changes,
    training_digest,
)
from vireid.suites.plan import DIGITS, Run
from vireid.suites.progress import ProgressReporter, duration_text

LAST_LINES = 12  # lines of a failed run's output in which its error is searched


@dataclass(frozen=True)
class Outcome:
    """Result of a run: finished or failed."""

    address: str
    done: bool
    reason: str = ""  # of a failure, in one line
    folder: Path = Path()
    remark: str = ""  # what is unknown about a finished run


class RunStore:
    """The run folders of a suite, `out/runs/ADDRESS`, each with its `outcome.json`.

    A run that was trained on other inputs (listing, plug-ins, files) is kept; the run on the current inputs gets the
    folder `ADDRESS-DIGEST`. A run of which only the evaluation inputs changed is evaluated again.

    Args:
        out: Output folder of the suite.
        train: Arguments of Python that start a training: a script, and the words before its options.
        inputs: Digests of the inputs that a run would read now.
    """

    def __init__(self, out: Path, train: Sequence[str], inputs: CurrentInputs | None = None) -> None:
        self.root, self.train, self.inputs = out / "runs", tuple(train), inputs or CurrentInputs()
        self._folders: dict[str, tuple[Path, list[str]]] = {}

    def folder(self, run: Run) -> Path:
        """Return the folder of a run."""
        return self._place(run)[0]

    def changes(self, run: Run) -> list[str]:
        """Return why a finished run has to be repeated, one sentence for each changed input."""
        folder, changes = self._place(run)
        now, inputs = self.inputs.of(run), recorded(folder)
        return changes if now is None or inputs is None else [*changes, *evaluation_changes(inputs, now)]

    def _place(self, run: Run) -> tuple[Path, list[str]]:
        """Return the folder of a run, and why it differs from `ADDRESS`."""
        if run.address not in self._folders:
            folder = self.root / run.address
            now, inputs = self.inputs.of(run), recorded(folder)
            changes = training_changes(run, inputs, now) if now is not None and inputs is not None else []
            if changes and now is not None:
                folder = self.root / f"{run.address}-{training_digest(run, now)[:DIGITS]}"
                changes = changes if recorded(folder) is None else []
            self._folders[run.address] = folder, changes
        return self._folders[run.address]

    def command(self, run: Run) -> list[str]:
        """Return the command that trains this run, or resumes it."""
        return [*self.python(), *run.words(), "OUTPUT_DIR", str(self.folder(run))]

    def python(self) -> list[str]:
        """Return the words that start a training, before its options."""
        return [sys.executable, *self.train]

    def outcome(self, run: Run) -> Outcome | None:
        """Return the result of a run; None if it has not ended."""
        folder = self.folder(run)
        try:
            record = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            if not record["done"]:
                return Outcome(run.address, False, str(record["reason"]), folder)
            if not RunFolder(folder).evaluated or self.changes(run):
                return None
            return Outcome(run.address, True, "", folder, remark(recorded(folder), self.inputs.of(run)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def perform(self, run: Run) -> Outcome:
        """Train or resume a run in a child process, which is ended if this process ends."""
        folder = self.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        output = folder / "output.txt"
        with output.open("a", encoding="utf-8") as file:
            file.write(f"$ {shlex.join(self.command(run))}\n")
            file.flush()
            code = subprocess.run(
                self.command(run),
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **parent_variable()},
                check=False,
            ).returncode
        done = code == 0 and RunFolder(folder).evaluated
        outcome = Outcome(run.address, done, "" if done else failure_reason(output, code), folder)
        if code not in (130, -2):  # Ctrl-C is not a failure of the run
            write_json(folder / "outcome.json", {"done": outcome.done, "reason": outcome.reason})
        return outcome


def name_runs(root: Path, names: Mapping[str, Path]) -> None:
    """Create links `root/NAME` to run folders, if the file system supports links."""
    root.mkdir(parents=True, exist_ok=True)
    for name, folder in names.items():
        link = root / name
        with suppress(OSError):
            if link.is_symlink():
                link.unlink()
            link.symlink_to(os.path.relpath(folder, root), target_is_directory=True)


def perform_all(
    store: RunStore,
    runs: Mapping[str, Run],
    *,
    labels: Mapping[str, str] | None = None,
    jobs: int = 1,
    say: Callable[[str], None] = print,
    interval: float = 1.0,
) -> dict[str, Outcome]:
    """Train every run that is missing; a run that fails does not stop the others.

    Args:
        store: The run folders.
        runs: All runs of the suite by address.
        labels: Row, dataset and seed of each run, by address, for the progress.
        jobs: Number of runs in parallel.
        say: Prints one line.
        interval: Seconds between two looks at the logs of the runs.
    """
    if jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    known = {address: store.outcome(run) for address, run in runs.items()}
    missing = [run for address, run in runs.items() if (outcome := known[address]) is None or not outcome.done]
    say(f"{len(runs)} runs, {len(runs) - len(missing)} of them done before")
    for run in missing:
        if changed := store.changes(run):
            say(f"{run.address} is repeated: {'; '.join(changed)}")
    numbers = itertools.count(len(runs) - len(missing) + 1)
    numbering, reporter = Lock(), ProgressReporter(say, interval=interval)

    def one(run: Run) -> Outcome:
        label = (labels or {}).get(run.address, run.address)
        began, folder = time.monotonic(), store.folder(run)
        reporter.say(f"{label}: started (log: {folder / 'output.txt'})")
        with reporter.run(run.address, label, RunFolder(folder).log, run.epochs):
            outcome = store.perform(run)
        seconds = duration_text(time.monotonic() - began)
        ending = f"done in {seconds}" if outcome.done else f"FAILED: {outcome.reason}"
        with numbering:
            reporter.say(f"[{next(numbers)}/{len(runs)}] {label} ({run.address}): {ending}")
        return outcome

    with reporter.watching(), ThreadPoolExecutor(jobs) as pool:
        outcomes = {outcome.address: outcome for outcome in pool.map(one, missing)}
    return {address: outcomes.get(address) or known[address] for address in runs}  # type: ignore[misc]


def job_lines(store: RunStore, runs: Mapping[str, Run]) -> list[str]:
    """Return one shell command for each missing run, for a cluster."""
    lines = []
    for run in runs.values():
        outcome = store.outcome(run)
        if outcome is None or not outcome.done:
            lines.append(shlex.join(["python", *store.command(run)[1:]]))
    return lines


def collected(
    runs: Mapping[str, Run], folders: Sequence[Path], inputs: CurrentInputs | None = None
) -> dict[str, Outcome]:
    """Find the results of runs that were trained elsewhere: folders below `folders` that are named by an address.

    A run that was trained on other inputs than the current ones counts as missing; its reason names what differs.
    """
    inputs = inputs or CurrentInputs()
    at: dict[str, list[Path]] = {}
    for top in folders:
        if not top.is_dir():
            raise UserError(f"--collect {top}: the folder does not exist")
        for folder in evaluated_folders(top):
            at.setdefault(folder.name.partition("-")[0], []).append(folder)
    return {address: _collected(run, at.get(address, []), inputs.of(run)) for address, run in runs.items()}


def _collected(run: Run, places: Sequence[Path], now: RunInputs | None) -> Outcome:
    if not places:
        return Outcome(
            run.address, False, "no folder of this name below --collect contains the results of an evaluation"
        )
    faults = []
    for place in sorted(places, key=lambda path: len(path.name)):
        inputs = recorded(place)
        if inputs is None or now is None:
            return Outcome(run.address, True, "", place, remark(inputs, now))
        changes = [*training_changes(run, inputs, now), *evaluation_changes(inputs, now)]
        if not changes:
            return Outcome(run.address, True, "", place, remark(inputs, now))
        faults.append(f"{place} was trained on other inputs: {'; '.join(changes)}")
    return Outcome(run.address, False, " / ".join(faults))


def failure_reason(output: Path, code: int) -> str:
    """Return the error of a failed run in one line, from the end of its output."""
    if code < 0:
        return f"ended by signal {-code}; see {output}"
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines[-LAST_LINES:] if line.startswith("error: ")]
    text = errors[-1].removeprefix("error: ") if errors else (lines[-1] if lines else "no output")
    return f"{text} (exit code {code})"
