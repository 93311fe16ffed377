"""How faults of data are put into words: lists cut short with their totals, all faults in one error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from vireid.core.errors import DataError


def listed(names: Iterable[object], most: int = 10) -> str:
    """The first few, and how many there are where some are left out.

    >>> listed(["0001", "0002", "0003"], most=2)
    '0001, 0002, ... (3 in all)'
    """
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (f", ... ({len(words)} in all)" if len(words) > most else "")


def counted(number: int, word: str, words: str = "") -> str:
    """A number and its noun.

    >>> counted(1, "fault"), counted(3, "fault"), counted(2, "identity", "identities")
    ('1 fault', '3 faults', '2 identities')
    """
    return f"{number} {word if number == 1 else words or word + 's'}"


def raise_faults(header: str, faults: Sequence[str]) -> NoReturn:
    """DataError: the header with the number of faults, then one fault a line."""
    raise DataError(header, faults)


def faults_of(error: DataError, *, prefix: str = "") -> list[str]:
    """The single faults of an error as text, with a prefix; the whole text of one that has no list.

    >>> faults_of(DataError("the folder is broken", ["one", "two"]), prefix="a: ")
    ['a: one', 'a: two']
    >>> faults_of(DataError("no such folder"))
    ['no such folder']
    """
    return [f"{prefix}{finding}" for finding in error.findings] or [str(error)]
