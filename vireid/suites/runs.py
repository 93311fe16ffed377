"""Runs of a suite as processes of their own: resumed where they were interrupted, never done twice."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from vireid.core.errors import UserError
from vireid.core.io import write_json
from vireid.engine.launch import lifeline
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

LAST_WORDS = 12  # lines of a failed run's output that its reason may take


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    address: str
    done: bool
    reason: str = ""  # of a failure; one line
    folder: Path = Path()
    remark: str = ""  # what is not known of a run that is done


class RunStore:
    """The folder `out/runs`: a run's files in `out/runs/ADDRESS`, and beside them how it ended (`outcome.json`).

    A run there that was trained on other inputs (listing, plug-ins, files) stays; the one of today's inputs gets the
    folder `ADDRESS-DIGEST` beside it. A run that was only evaluated on other inputs is evaluated again.

    `train`: path of tools/train_net.py. `inputs`: what runs would be made from now.
    """

    def __init__(self, out: Path, train: Path, inputs: CurrentInputs | None = None) -> None:
        self.root, self.train, self.inputs = out / "runs", train, inputs or CurrentInputs()
        self._folders: dict[str, tuple[Path, list[str]]] = {}

    def folder(self, run: Run) -> Path:
        return self._place(run)[0]

    def changes(self, run: Run) -> list[str]:
        """Why a run that was made before is made again, a sentence each."""
        folder, found = self._place(run)
        now, inputs = self.inputs.of(run), recorded(folder)
        return found if now is None or inputs is None else [*found, *evaluation_changes(inputs, now)]

    def _place(self, run: Run) -> tuple[Path, list[str]]:
        """The folder of a run, and why it is not the one named by its address alone."""
        if run.address not in self._folders:
            folder = self.root / run.address
            now, inputs = self.inputs.of(run), recorded(folder)
            found = training_changes(run, inputs, now) if now is not None and inputs is not None else []
            if found and now is not None:
                folder = self.root / f"{run.address}-{training_digest(run, now)[:DIGITS]}"
                found = found if recorded(folder) is None else []
            self._folders[run.address] = folder, found
        return self._folders[run.address]

    def command(self, run: Run) -> list[str]:
        """What makes this run; the same words continue it."""
        return [sys.executable, str(self.train), *run.words(), "OUTPUT_DIR", str(self.folder(run))]

    def outcome(self, run: Run) -> Outcome | None:
        """How the run ended; None where it has not."""
        folder = self.folder(run)
        try:
            said = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            if not said["done"]:
                return Outcome(run.address, False, str(said["reason"]), folder)
            if not (folder / "metrics.json").is_file() or self.changes(run):
                return None
            return Outcome(run.address, True, "", folder, remark(recorded(folder), self.inputs.of(run)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def perform(self, run: Run) -> Outcome:
        """Run it, or go on with it, in a process that ends with this one."""
        folder = self.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        output = folder / "output.txt"
        with output.open("a", encoding="utf-8") as file, lifeline() as (environment, descriptor):
            file.write(f"$ {shlex.join(self.command(run))}\n")
            file.flush()
            code = subprocess.run(
                self.command(run),
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                pass_fds=[descriptor],
                check=False,
            ).returncode
        done = code == 0 and (folder / "metrics.json").is_file()
        outcome = Outcome(run.address, done, "" if done else _reason(output, code), folder)
        if code not in (130, -2):  # Ctrl-C is no failure of the run
            write_json(folder / "outcome.json", {"done": outcome.done, "reason": outcome.reason})
        return outcome


def name_runs(root: Path, names: Mapping[str, Path]) -> None:
    """Links `root/NAME` to the folders of runs, so that people find them; where links cannot be made there are none."""
    root.mkdir(parents=True, exist_ok=True)
    for name, folder in names.items():
        link = root / name
        with suppress(OSError):
            if link.is_symlink():
                link.unlink()
            link.symlink_to(os.path.relpath(folder, root), target_is_directory=True)


def perform_all(
    store: RunStore, runs: Mapping[str, Run], *, jobs: int = 1, say: Callable[[str], None] = print
) -> dict[str, Outcome]:
    """Every run that is not done yet, `jobs` at a time; one that fails does not stop the others."""
    if jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    found = {address: store.outcome(run) for address, run in runs.items()}
    missing = [run for address, run in runs.items() if (outcome := found[address]) is None or not outcome.done]
    say(f"{len(runs)} runs, {len(runs) - len(missing)} of them done before")
    for run in missing:
        if changed := store.changes(run):
            say(f"{run.address} is made again: {'; '.join(changed)}")
    lock, number = Lock(), len(runs) - len(missing)

    def one(run: Run) -> Outcome:
        nonlocal number
        outcome = store.perform(run)
        with lock:
            number += 1
            say(f"[{number}/{len(runs)}] {run.address} {'done' if outcome.done else f'FAILED: {outcome.reason}'}")
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = {outcome.address: outcome for outcome in pool.map(one, missing)}
    return {address: outcomes.get(address) or found[address] for address in runs}  # type: ignore[misc]


def job_lines(store: RunStore, runs: Mapping[str, Run]) -> list[str]:
    """One shell command for each run that is not done, for a cluster."""
    lines = []
    for run in runs.values():
        outcome = store.outcome(run)
        if outcome is None or not outcome.done:
            lines.append(shlex.join(["python", *store.command(run)[1:]]))
    return lines


def collected(
    runs: Mapping[str, Run], folders: Sequence[Path], inputs: CurrentInputs | None = None
) -> dict[str, Outcome]:
    """Outcomes of runs made elsewhere: folders below `folders` that are named by an address and hold metrics.json.

    A run that was made from other inputs than there are here does not count; its reason names what differs.
    """
    inputs = inputs or CurrentInputs()
    at: dict[str, list[Path]] = {}
    for top in folders:
        if not top.is_dir():
            raise UserError(f"--collect {top}: there is no such folder")
        for metrics in sorted(top.rglob("metrics.json")):
            at.setdefault(metrics.parent.name.partition("-")[0], []).append(metrics.parent)
    return {address: _collected(run, at.get(address, []), inputs.of(run)) for address, run in runs.items()}


def _collected(run: Run, places: Sequence[Path], now: RunInputs | None) -> Outcome:
    if not places:
        return Outcome(run.address, False, "no metrics.json in a folder of this name below --collect")
    faults = []
    for place in sorted(places, key=lambda path: len(path.name)):
        found = recorded(place)
        if found is None or now is None:
            return Outcome(run.address, True, "", place, remark(found, now))
        changed = [*training_changes(run, found, now), *evaluation_changes(found, now)]
        if not changed:
            return Outcome(run.address, True, "", place, remark(found, now))
        faults.append(f"{place} was made from other inputs than there are here: {'; '.join(changed)}")
    return Outcome(run.address, False, " / ".join(faults))


def _reason(output: Path, code: int) -> str:
    """The last thing a failed run said, in one line."""
    if code < 0:
        return f"ended by signal {-code}; see {output}"
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines[-LAST_WORDS:] if line.startswith("error: ")]
    said = errors[-1].removeprefix("error: ") if errors else (lines[-1] if lines else "no output")
    return f"{said} (exit code {code})"
