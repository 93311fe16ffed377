"""Errors that a person can act on, and the one place where a tool turns them into text."""

from __future__ import annotations

import difflib
import functools
import sys
from collections.abc import Callable, Iterable


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


def guarded(main: Callable[[list[str] | None], int | None]) -> Callable[..., int]:
    """Decorate a tool's `main(argv)`: user mistakes become one text on stderr and exit code 2.

    Ctrl-C gives 130. Anything else is our own fault and keeps its traceback.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        try:
            return main(argv) or 0
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except SystemExit as stop:  # argparse
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)

    return run
