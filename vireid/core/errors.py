"""Errors that a person can act on, and the one place where a tool turns them into text."""

from __future__ import annotations

import difflib
import functools
import os
import select
import sys
from collections.abc import Callable, Iterable
from typing import TextIO


class UserError(ValueError):
    """A mistake of the user, not of the program: shown as text without a traceback, exit code 2."""


class ConfigError(UserError):
    """Every problem of a configuration at once.

    `problems` is the list of single texts; `str()` shows one a line.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class DataError(UserError):
    """Files of a data set that are missing, unreadable or contradict each other."""


class CheckpointError(UserError):
    """A checkpoint that is damaged, of another model or of another data set."""


class NonFiniteLoss(UserError):
    """A loss term became NaN or infinite; the text names the term, the epoch and the step."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A suggestion to append to an error text, or nothing.

    >>> nearest("MARGN", ["MARGIN", "WEIGHT"])
    "; did you mean 'MARGIN'?"
    >>> nearest("colour", ["MARGIN"])
    ''
    """
    by_lower = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


PIPE_CLOSED = 141  # 128 + SIGPIPE: what a shell reports of a process that a closed pipe ended


def guarded(main: Callable[[list[str] | None], int | None]) -> Callable[..., int]:
    """Decorate a tool's `main(argv)`: turn what a user can cause into a text on stderr and an exit code.

    UserError: its text, exit code 2. Ctrl-C: 130. A reader of stdout or stderr that is gone (`| head -1`): 141, without
    a text. Any other exception is a fault of the program and keeps its traceback.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        try:
            code = _exit_code(main, argv)
            sys.stdout.flush()  # here, because the flush at interpreter exit prints a traceback for a closed pipe
            return code
        except BrokenPipeError:
            closed = [stream for stream in (sys.stdout, sys.stderr) if _reader_is_gone(stream)]
            if not closed:  # the pipe of something else
                raise
            for stream in closed:
                _discard_output(stream)
            return PIPE_CLOSED

    return run


def _exit_code(main: Callable[[list[str] | None], int | None], argv: list[str] | None) -> int:
    try:
        return main(argv) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except SystemExit as stop:  # argparse, or a text as Python itself would print it
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1


def _reader_is_gone(stream: TextIO) -> bool:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # not a file: captured by a test or a notebook
        return False
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are reported whatever is asked for
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))


def _discard_output(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that what is still buffered can be flushed at interpreter exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
