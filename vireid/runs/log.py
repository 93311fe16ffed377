"""Logs of a run: JSON lines and TensorBoard event files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from vireid.core.errors import UserError
from vireid.core.io import write_text


class JsonLines:
    """`log.jsonl`: one record a line, each with `event`, `epoch` and `step`; appended and flushed at once.

    `also` is given every record as well.
    """

    def __init__(self, path: Path, *, also: Callable[..., None] | None = None) -> None:
        self.path, self.also = path, also

    def __call__(self, event: str, **values: Any) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, **values}) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror or error})") from error
        if self.also is not None:
            self.also(event, **values)

    def read(self) -> list[dict[str, Any]]:
        """All whole records; a line cut short by a kill is left out."""
        if not self.path.exists():
            return []
        records = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return records

    def rewind(self, epoch: int) -> None:
        """Drop the records of epochs that are about to run again: those that began after `epoch` were finished."""
        kept = [record for record in self.read() if record.get("epoch", 0) <= epoch]
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))


class TensorBoard:
    """The numbers of the same records as curves, in event files that `tensorboard --logdir` shows.

    Tags are `event/name`, `event/protocol/name` where a record names one. Each record is on the disk when the call
    returns. After a resume the points of steps that run again are hidden.
    Errors: UserError where the package is missing or the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise UserError(
                f"TENSORBOARD is true, but {error}; pip install tensorboard, or set TENSORBOARD false"
            ) from error
        self.folder, self._event, self._summary = folder, event_pb2, summary_pb2
        self._records = RecordWriter  # torch's own writer has a thread, which a full disk ends with a traceback
        self._file: BinaryIO | None = None

    def __call__(self, event: str, **values: Any) -> None:
        step = values.pop("step", None)
        if step is None:  # a record of the whole run
            return
        place = "/".join([event, *filter(None, [values.pop("protocol", "")])])
        numbers = {f"{place}/{name}": value for name, value in values.items() if isinstance(value, (int, float))}
        curves = [self._summary.Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
        point = self._event.Event(wall_time=time.time(), step=step, summary=self._summary.Summary(value=curves))
        try:
            first = self._file is None
            self._file = self._file or self._opened()
            for each in [*(self._beginning(step) if first else ()), point]:
                self._records(self._file).write(each.SerializeToString())
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written ({error.strerror or error})") from error

    def _opened(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        return (self.folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}").open("ab")

    def _beginning(self, step: int) -> list[Any]:
        """The mark of the format, and of a start at this step: later points of older files are hidden."""
        log = self._event.SessionLog(status=self._event.SessionLog.START)
        return [
            self._event.Event(wall_time=time.time(), file_version="brain.Event:2"),
            self._event.Event(wall_time=time.time(), step=step, session_log=log),
        ]


class Means:
    """Running means of named numbers over an epoch.

    >>> means = Means(); means.add(["id", "triplet"], [2.0, 1.0]); means.add(["id", "triplet"], [4.0, 0.0])
    >>> means.result()
    {'id': 3.0, 'triplet': 0.5}
    """

    def __init__(self) -> None:
        self._totals: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, names: Sequence[str], values: Sequence[float]) -> None:
        for name, value in zip(names, values):
            if value != value:  # nothing to measure in this step
                continue
            self._totals[name] = self._totals.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def result(self) -> dict[str, float]:
        return {name: total / self._counts[name] for name, total in self._totals.items()}


def losses_text(terms: Mapping[str, float]) -> str:
    """`id 5.971  triplet 0.412`. Details of details, such as attributes/accuracy/3, are left to the log."""
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items() if name.count("/") < 2)
