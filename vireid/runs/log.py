"""Training log: JSON lines (`log.jsonl`), its records, and TensorBoard event files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from vireid.core.errors import UserError
from vireid.core.io import write_text

EPOCH = "epoch"  # event: means of a finished epoch
LABELS = "labels"  # event: pseudo labels of an epoch
EVALUATION = "evaluation"  # event: scores of one protocol during training


@dataclass(frozen=True)
class LogRecord:
    """One line of `log.jsonl`."""

    event: str
    epoch: int | None  # finished epochs; None in records of the whole run
    step: int | None
    values: Mapping[str, Any] = field(default_factory=dict)  # the other entries

    @classmethod
    def parse(cls, line: str | bytes) -> LogRecord | None:
        """Return the record of a line; None if the line is damaged."""
        try:
            values = json.loads(line)
        except ValueError:
            return None
        if not isinstance(values, dict):
            return None
        event, epoch, step = (values.pop(key, None) for key in ("event", "epoch", "step"))
        return cls(
            str(event), epoch if isinstance(epoch, int) else None, step if isinstance(step, int) else None, values
        )

    @property
    def images_per_second(self) -> float:
        """Speed of an epoch; 0 if it is not recorded."""
        return float(self.values.get("images_per_second") or 0.0)


def read_records(path: Path) -> tuple[list[LogRecord], int, int]:
    """Read a log: its records, the number of lines, and the number of damaged lines; empty if it does not exist."""
    if not path.exists():
        return [], 0, 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    parsed = [LogRecord.parse(line) for line in lines if line.strip()]
    records = [record for record in parsed if record is not None]
    return records, len(lines), len(parsed) - len(records)


class LogTail:
    """Read the records that are appended to a log while a run is in progress.

    Args:
        path: The log; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._offset = path, 0

    def read(self) -> list[LogRecord]:
        """Return the complete records since the last call; all of them if the file was rewritten shorter."""
        try:
            if self.path.stat().st_size < self._offset:
                self._offset = 0
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        end = data.rfind(b"\n") + 1  # the rest is a line that is being written
        self._offset += end
        parsed = (LogRecord.parse(line) for line in data[:end].splitlines())
        return [record for record in parsed if record is not None]


class JsonLines:
    """`log.jsonl`: one record a line, each with `event`, `epoch` and `step`; appended and flushed at once.

    Args:
        path: The file; its folder is created when the first record is written.
        also: Called with every record, too.
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
        """Return all complete records as plain values; a line that was cut by a kill is left out."""
        if not self.path.exists():
            return []
        records = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return records

    def rewind(self, epoch: int) -> None:
        """Remove the records after epoch `epoch`, before these epochs run again."""
        kept = [record for record in self.read() if record.get("epoch", 0) <= epoch]
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in kept))


class TensorBoard:
    """Write the numbers of the log as TensorBoard event files.

    Tags are `event/name`, or `event/protocol/name` if a record has a protocol. Each record is on the disk when the call
    returns. After a resume, the points of steps that run again are hidden.

    Args:
        folder: Folder of the event files.

    Raises:
        UserError: If the package is missing or the file cannot be written.
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
        self._records = RecordWriter  # the writer of torch uses a thread, which fails with a traceback on a full disk
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
            self._file = self._file or self._open()
            for each in [*(self._header(step) if first else ()), point]:
                self._records(self._file).write(each.SerializeToString())
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written ({error.strerror or error})") from error

    def _open(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        return (self.folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}").open("ab")

    def _header(self, step: int) -> list[Any]:
        """Return the first events of a file: its format, and a session start that hides later points of older files."""
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
        """Add the values of one step; NaN is left out."""
        for name, value in zip(names, values):
            if value != value:  # NaN: the term was not computed in this step
                continue
            self._totals[name] = self._totals.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def result(self) -> dict[str, float]:
        """Return the mean of each number."""
        return {name: total / self._counts[name] for name, total in self._totals.items()}


def losses_text(terms: Mapping[str, float]) -> str:
    """Format loss terms in one line; names with two or more slashes are left out.

    >>> losses_text({"id": 5.9711, "triplet": 0.4, "attributes/accuracy/3": 0.5})
    'id 5.971  triplet 0.400'
    """
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items() if name.count("/") < 2)
