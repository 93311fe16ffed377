"""Read a run folder as a whole; missing files are listed with the commands that write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.core.errors import UserError
from vireid.evaluation.open_set.report import OpenSetReport
from vireid.evaluation.report import UNSTATED, Report, is_oracle
from vireid.runs.folder import RunFolder, command_hint
from vireid.runs.history import Epochs, Measured, read_history
from vireid.runs.metrics import Metrics
from vireid.runs.results import Lists, read_rankings


@dataclass(frozen=True)
class Result:
    """The report of one protocol as plain values, for tables and plots; all scores in [0, 1]."""

    name: str
    conditions: Mapping[str, Any]
    mean: Mapping[str, float]  # rank1, rank5, ..., mAP, mINP
    spread: Mapping[str, float | None]  # sample standard deviation over the trials; None where there is one trial
    cmc: Sequence[float]  # entry k - 1 is rank k, mean over the trials
    trials: Sequence[Mapping[str, Any]] = ()  # name, metrics, queries and skipped of each trial
    chance: float | None = None  # rank-1 of a gallery in random order, if known
    open_set: OpenSetReport | None = None  # verification and open-set identification, if evaluated

    @classmethod
    def of(cls, name: str, report: Report) -> Result:
        """Return the values of a report."""
        return cls(
            name=name,
            conditions=dict(report.conditions),
            mean=report.means,
            spread=report.spread,
            cmc=report.mean.cmc.tolist(),
            trials=report.to_json()["trials"],
            chance=report.chance,
            open_set=report.open_set,
        )

    def condition(self, name: str) -> str:
        """Return a condition as text."""
        return str(self.conditions.get(name, UNSTATED))

    @property
    def oracle(self) -> bool:
        """Whether the attributes of the test images are the labels of their identities."""
        return is_oracle(self.conditions)


@dataclass(frozen=True)
class Run:
    """Content of a run folder. An empty part has its reason in `notes`."""

    folder: Path
    epochs: Epochs = field(default_factory=Epochs)
    evaluations: Sequence[Measured] = ()
    results: Sequence[Result] = ()
    lists: Sequence[Lists] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    notes: Sequence[str] = ()  # what is missing and how to make it

    @property
    def name(self) -> str:
        """Name of the folder; of a link to a run, the name of the link."""
        return self.folder.absolute().name

    def modalities(self, protocol: str) -> tuple[str, str]:
        """Return the modalities of queries and gallery, from the direction of the result.

        >>> Run(Path("x"), results=[Result("all", {"direction": "infrared to visible"}, {}, {}, ())]).modalities("all")
        ('infrared', 'visible')
        """
        direction = next((result.condition("direction") for result in self.results if result.name == protocol), "")
        query, to, gallery = direction.partition(" to ")
        return (query, gallery) if to else ("query", "gallery")


def read_run(folder: Path | str) -> Run:
    """Read config, log, metrics and ranked lists of a run.

    A run that was trained but not evaluated gives curves and a note.

    Raises:
        UserError: If the folder or both log and metrics are missing.
        DataError: If a file is damaged or of a newer version of vireid.
    """
    folder = Path(folder)
    files, notes = RunFolder(folder), []
    if not folder.is_dir():
        raise UserError(f"--run {folder}: the folder does not exist.\n    {command_hint(folder)}")
    history = read_history(files.log)
    if history.damaged:
        notes.append(f"{history.damaged} of the {history.lines} lines of log.jsonl cannot be read and are left out.")
    if files.metrics.exists():
        metrics = Metrics.read(files.metrics)
    else:
        metrics = Metrics({})
        notes.append(f"metrics.json is missing: the run has not been evaluated. {command_hint(folder, '--eval-only')}")
    epochs = history.epochs
    if not epochs.epoch and not metrics.reports:
        missing = [path.name for path in (files.log, files.metrics) if not path.exists()]
        fault = f"{' and '.join(missing)} missing" if missing else "log.jsonl has no finished epoch"
        raise UserError(f"--run {folder}: nothing to show, {fault}.\n    {command_hint(folder)}")
    if not epochs.epoch:
        notes.append("log.jsonl holds no finished epoch, so there are no loss curves: this run was only evaluated.")
    lists = read_rankings(files.rankings) if files.rankings.exists() else []
    if not files.rankings.exists():
        hint = command_hint(folder, "--eval-only")
        notes.append(f"rankings.npz is missing: no test identities, no ranked lists. {hint}")
    config = files.read_config()
    if not config:
        notes.append("config.yml is missing, so the settings of this run are not shown.")
    results = [Result.of(name, report) for name, report in metrics.reports.items()]
    return Run(folder, epochs, history.evaluations, results, lists, metrics.environment, config, notes)
