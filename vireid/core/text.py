"""Texts for a terminal: lists that are cut off with their total, numbers with their nouns, plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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


def align_columns(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """Format a table as one line for each row.

    Args:
        rows: Cells of the table; all rows have the same number.
        numbers: Align all columns but the first to the right.

    Example:
        >>> align_columns([["", "mAP"], ["all", "30.0"]])
        ['     mAP', 'all  30.0']
        >>> align_columns([["", "images"], ["train", "12"]], numbers=True)
        ['       images', 'train      12']
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    pads = [str.ljust, *[str.rjust if numbers else str.ljust] * (len(widths) - 1)]
    return ["  ".join(pad(cell, width) for pad, cell, width in zip(pads, row, widths)).rstrip() for row in rows]
