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

from vireid.benchmark.plan import Run
from vireid.core.errors import UserError
from vireid.core.files import write_json
from vireid.engine.launch import lifeline

LAST_WORDS = 12  # lines of a failed run's output that its reason may take


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    address: str
    done: bool
    reason: str = ""  # of a failure; one line
    folder: Path = Path()


class RunStore:
    """The folder `out/runs`: a run's files in `out/runs/ADDRESS`, and beside them how it ended (`outcome.json`).

    `train`: path of tools/train_net.py.
    """

    def __init__(self, out: Path, train: Path) -> None:
        self.root, self.train = out / "runs", train

    def folder(self, run: Run) -> Path:
        return self.root / run.address

    def command(self, run: Run) -> list[str]:
        """What makes this run; the same words continue it."""
        return [sys.executable, str(self.train), *run.words(), "OUTPUT_DIR", str(self.folder(run))]

    def outcome(self, run: Run) -> Outcome | None:
        """How the run ended; None where it has not."""
        folder = self.folder(run)
        try:
            said = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            if said["done"] and not (folder / "metrics.json").is_file():
                return None
            return Outcome(run.address, bool(said["done"]), str(said["reason"]), folder)
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


def collected(runs: Mapping[str, Run], folders: Sequence[Path]) -> dict[str, Outcome]:
    """Outcomes of runs made elsewhere: folders below `folders` that are named by an address and hold metrics.json."""
    at: dict[str, Path] = {}
    for top in folders:
        if not top.is_dir():
            raise UserError(f"--collect {top}: there is no such folder")
        for metrics in sorted(top.rglob("metrics.json")):
            at.setdefault(metrics.parent.name, metrics.parent)
    lost = "no metrics.json in a folder of this name below --collect"
    return {
        address: Outcome(address, True, "", at[address]) if address in at else Outcome(address, False, lost)
        for address in runs
    }


def _reason(output: Path, code: int) -> str:
    """The last thing a failed run said, in one line."""
    if code < 0:
        return f"ended by signal {-code}; see {output}"
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines[-LAST_WORDS:] if line.startswith("error: ")]
    said = errors[-1].removeprefix("error: ") if errors else (lines[-1] if lines else "no output")
    return f"{said} (exit code {code})"
