"""Errors that a person can act on, and the one place where a tool turns them into text."""

from __future__ import annotations

import difflib
import functools
import os
import select
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

Severity = Literal["fault", "note", "left out"]
MOST_OF_A_KIND = 10  # findings of one kind that an error prints; `DataError.findings` has all of them


@dataclass(frozen=True)
class Problem:
    """One fault that a user can correct, as data.

    Code that needs a part of it reads a field; the text is made once, where it is printed.

    Args:
        text: What is wrong.
        place: Where: the file that wrote a key, a line of a list, a folder.
        key: Configuration key or parameter, where the fault is in one.
        suggestion: Nearest valid word.
        note: What follows the suggestion, such as the valid words.

    Example:
        >>> str(Problem("is not a setting", place="mmd.yml", key="SEAD", suggestion="SEED", note="(known: SEED)"))
        "mmd.yml: SEAD is not a setting; did you mean 'SEED'? (known: SEED)"
    """

    text: str
    place: str = ""
    key: str = ""
    suggestion: str | None = None
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.key}{'' if self.text.startswith((':', '.')) else ' '}{self.text}" if self.key else self.text
        text = f"{self.place}: {text}" if self.place else text
        text += did_you_mean(self.suggestion)
        space = "" if not self.note or self.note.startswith("\n") else " "
        return f"{text}{space}{self.note}"


@dataclass(frozen=True)
class Finding(Problem):
    """One fault or remark about the files of a dataset.

    Args:
        kind: Group of findings of which there may be many, in the plural, such as "missing files": of each group only
            the first ones are printed, with the number of the others.
        path: File that the finding is about, where it is one.
        severity: "fault" if training is refused because of it, "note" if not, "left out" for a file that is not used.
    """

    kind: str = ""
    path: Path | None = None
    severity: Severity = "fault"


class UserError(ValueError):
    """A mistake of the user, not of the program: shown as text without a traceback, exit code 2."""


class ConfigError(UserError):
    """All problems of a configuration, collected before anything is built.

    Attributes:
        problems: One `Problem` each; `str()` prints one a line.
    """

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem | str]) -> None:
        found = (each if isinstance(each, Problem) else Problem(each) for each in problems)
        self.problems = tuple(dict.fromkeys(found))
        super().__init__("\n".join(map(str, self.problems)))


class DataError(UserError):
    """Files of a dataset that are missing, unreadable or contradict each other.

    Attributes:
        text: What is wrong, or the heading of `findings`.
        findings: The single faults; empty if `text` is the only one.
    """

    text: str
    findings: tuple[Finding, ...]

    def __init__(self, text: str, findings: Iterable[Finding | str] = ()) -> None:
        self.text = text
        self.findings = tuple(each if isinstance(each, Finding) else Finding(each) for each in findings)
        number = len(self.findings)
        head = f"{text} ({number} {'fault' if number == 1 else 'faults'}):" if self.findings else text
        super().__init__("\n".join([head, *(f"  {line}" for line in finding_lines(self.findings))]))


def finding_lines(findings: Iterable[Finding], most: int = MOST_OF_A_KIND) -> list[str]:
    """Format findings as list items, grouped by kind; of each kind the first `most` and the number of the others.

    Example:
        >>> finding_lines([Finding("a.jpg", kind="files"), Finding("b.jpg", kind="files"), Finding("no list")], most=1)
        ['- a.jpg', '  ... and 1 more files', '- no list']
    """
    by_kind: dict[str, list[str]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind or str(finding), []).append(f"- {finding}")
    lines = []
    for kind, items in by_kind.items():
        lines += items[:most]
        if len(items) > most:
            lines.append(f"  ... and {len(items) - most} more {kind}")
    return lines


class ArgumentError(UserError):
    """A constructor refuses the value of a parameter.

    Attributes:
        parameter: Name of the parameter.
        text: What is wrong, without the name.

    Example:
        >>> str(ArgumentError("margin", "must be at least 0, got -1"))
        'margin must be at least 0, got -1'
    """

    def __init__(self, parameter: str, text: str) -> None:
        self.parameter, self.text = parameter, text
        super().__init__(f"{parameter} {text}")


class CheckpointError(UserError):
    """A checkpoint that is damaged, of another model or of another dataset."""


class NonFiniteLoss(UserError):
    """A loss term became NaN or infinite; the text names the term, the epoch and the step."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The valid word that is spelled most like another one, whatever the case of its letters; None if none is near.

    >>> closest("MARGN", ["MARGIN", "WEIGHT"])
    'MARGIN'
    >>> closest("colour", ["MARGIN"]) is None
    True
    """
    by_lower = {str(name).lower(): str(name) for name in known}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(suggestion: str | None) -> str:
    """The end of a message that names the nearest valid word; empty without one.

    >>> did_you_mean("MARGIN"), did_you_mean(None)
    ("; did you mean 'MARGIN'?", '')
    """
    return f"; did you mean {suggestion!r}?" if suggestion is not None else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """`did_you_mean(closest(word, known))`, to append to a message."""
    return did_you_mean(closest(word, known))


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
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are reported whatever is asked for
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))


def _discard_output(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that what is still buffered can be flushed at interpreter exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
