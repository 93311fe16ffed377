"""Progress of the runs of a suite while they train, read from their log.jsonl."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, RLock, Thread
from typing import TextIO

from vireid.runs.log import EPOCH, LogTail

SECONDS_BETWEEN_LINES = 30.0  # for each run, if the output is not a terminal
CLEAR = "\r\x1b[K"  # the line of a terminal


class RunProgress:
    """Progress of one training run.

    Args:
        label: Row, dataset and seed.
        log: The run's log.jsonl; it may not exist yet.
        epochs: Number of epochs of the run.
        now: The current time in seconds, of a monotonic clock.
    """

    def __init__(self, label: str, log: Path, epochs: int, now: float) -> None:
        self.label, self.epochs = label, epochs
        self.epoch = self.step = self._epoch_step = 0
        self.images_per_second = 0.0
        self._began = now  # of the current epoch
        self._epoch_seconds = 0.0  # duration of the last epoch that was observed from its start
        self._observed = False  # whether the current epoch was observed from its start
        self._tail = LogTail(log)
        self._read()

    def update(self, now: float) -> None:
        """Read the records that were written since the last call."""
        before = self.epoch
        self._read()
        if self.epoch > before:
            if self._observed or before == 0:  # the first epoch includes the start of the process
                self._epoch_seconds = (now - self._began) / (self.epoch - before)
            self._began, self._observed = now, True

    def text(self, now: float) -> str:
        """Describe the progress in one line.

        Example:
            >>> RunProgress("MMD, seed 0", Path("missing.jsonl"), 8, now=0.0).text(now=1.0)
            'MMD, seed 0: starting'
        """
        if self.epoch >= self.epochs:
            return f"{self.label}: evaluating"
        if not self.step:
            return f"{self.label}: starting"
        parts = [f"epoch {self.epoch + 1}/{self.epochs}"]
        if self.step > self._epoch_step:
            parts.append(f"step {self.step - self._epoch_step}")
        if self.images_per_second:
            parts.append(f"{self.images_per_second:.0f} images/s")
        if self._epoch_seconds:
            left = self._epoch_seconds * (self.epochs - self.epoch) - (now - self._began)
            parts.append(f"about {duration_text(max(left, 0.0))} left")
        return f"{self.label}: {', '.join(parts)}"

    def _read(self) -> None:
        for record in self._tail.read():
            if record.epoch is None or record.step is None:
                continue
            self.step = record.step
            if record.event == EPOCH:
                self.epoch, self._epoch_step = record.epoch, record.step
                self.images_per_second = record.images_per_second


class ProgressReporter:
    """Report the runs in progress: one status line on a terminal, otherwise a line for each run every thirty seconds.

    Args:
        say: Prints a line that stays.
        terminal: Stream of the status line, if it is a terminal; stderr if None.
        clock: Returns the time in seconds; monotonic.
        interval: Seconds between two reads of the logs.

    Example:
        >>> with ProgressReporter(print).watching() as reporter:
        ...     reporter.say("[1/2] done")
        [1/2] done
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        terminal: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        interval: float = 1.0,
    ) -> None:
        self._say, self._clock, self._interval = say, clock, interval
        stream = sys.stderr if terminal is None else terminal
        self._terminal = stream if stream.isatty() else None
        self._runs: dict[str, RunProgress] = {}
        self._printed: dict[str, float] = {}  # key of a run -> time of its last line
        self._lock = RLock()

    def say(self, text: str) -> None:
        """Print a line that stays; the status line is cleared first."""
        with self._lock:
            self._status("")
            self._say(text)

    @contextmanager
    def run(self, key: str, label: str, log: Path, epochs: int) -> Iterator[None]:
        """Report a run while the block is executed."""
        now = self._clock()
        with self._lock:
            self._runs[key] = RunProgress(label, log, epochs, now)
            self._printed[key] = now
        try:
            yield
        finally:
            with self._lock:
                del self._runs[key], self._printed[key]

    @contextmanager
    def watching(self) -> Iterator[ProgressReporter]:
        """Report from a thread until the block ends."""
        stop = Event()

        def watch() -> None:
            while not stop.wait(self._interval):
                self.report()

        thread = Thread(target=watch, name="vireid-suite-progress", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
            self._status("")

    def report(self) -> None:
        """Read the logs once and print what is due."""
        with self._lock:
            now = self._clock()
            for key, run in self._runs.items():
                run.update(now)
                if self._terminal is None and now - self._printed[key] >= SECONDS_BETWEEN_LINES:
                    self._printed[key] = now
                    self._say(run.text(now))
            self._status(" | ".join(run.text(now) for run in self._runs.values()))

    def _status(self, text: str) -> None:
        if self._terminal is not None:
            columns = shutil.get_terminal_size().columns
            self._terminal.write(CLEAR + text[: columns - 1])
            self._terminal.flush()


def duration_text(seconds: float) -> str:
    """Format a duration, rounded.

    Example:
        >>> duration_text(44.6), duration_text(200), duration_text(7500)
        ('45 s', '3 min', '2 h 05 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
