"""Short texts for messages: lists that are cut off with their total, numbers with their nouns."""

from __future__ import annotations

from collections.abc import Iterable


def listed(names: Iterable[object], most: int = 10) -> str:
    """Join the first names by commas; add the total if some are left out.

    Example:
        >>> listed(["0001", "0002", "0003"], most=2)
        '0001, 0002, ... (3 in all)'
    """
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (f", ... ({len(words)} in all)" if len(words) > most else "")


def counted(number: int, word: str, words: str = "") -> str:
    """Write a number with its noun.

    Example:
        >>> counted(1, "fault"), counted(3, "fault"), counted(2, "identity", "identities")
        ('1 fault', '3 faults', '2 identities')
    """
    return f"{number} {word if number == 1 else words or word + 's'}"
