"""Parse identity and camera labels: text and numbers, natural sort order, range checks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np

from vireid.core.errors import DataError

LARGEST = 2**63 - 1  # of a 64-bit integer, in which labels are stored
MISSING = frozenset({"nan", "NaN", "NAN", "<NA>", "NaT", "null", "NULL", "None", "N/A", "n/a", "#N/A"})
_WHOLE = re.compile(r"(-?)0*(\d+?)(?:\.0*)?", re.ASCII)
_FRACTION = re.compile(r"-?\d*\.\d+", re.ASCII)
_SCIENTIFIC = re.compile(r"-?\d+(?:\.\d*)?[eE][-+]\d+|-?\d+\.\d*[eE]\d+", re.ASCII)


def whole_number(text: str) -> int | None:
    """Parse an integer from 0 to 2^63 - 1; None for anything else.

    Leading zeros and a fraction of zeros (as pandas writes a column of floats) do not change the number.

    >>> whole_number("3"), whole_number("3.0"), whole_number("0003"), whole_number("3.5"), whole_number("-3")
    (3, 3, 3, None, None)
    """
    found = _WHOLE.fullmatch(text.strip())
    if found is None or len(found[2]) > 19 or (found[1] and found[2] != "0"):
        return None
    number = int(found[2])
    return number if number <= LARGEST else None


def number_fault(text: str) -> str | None:
    """Describe why a text is a number but not a label; None for labels and for names.

    >>> number_fault("-1")
    'is negative; labels are integers from 0'
    >>> number_fault("cam_c") is None, number_fault("3.0") is None
    (True, True)
    """
    text = text.strip()
    if whole_number(text) is not None:
        return None
    found = _WHOLE.fullmatch(text)
    if found is not None and found[1]:
        return "is negative; labels are integers from 0"
    if found is not None:
        return f"is larger than {LARGEST}, the largest 64-bit integer; number the labels otherwise, or use names"
    if _FRACTION.fullmatch(text):
        return "is not an integer"
    if _SCIENTIFIC.fullmatch(text):
        return "is written in scientific notation; write an integer in digits"
    return None


def normalized_name(text: str) -> str:
    """Remove surrounding blanks and compose Unicode characters (NFC), so that equal-looking names are equal."""
    return unicodedata.normalize("NFC", text.strip())


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which numbers inside names count as numbers.

    >>> sorted(["c10", "c2", "c1"], key=natural_key)
    ['c1', 'c2', 'c10']
    """
    key = []
    for word, digits in re.findall(r"([^0-9]+)|([0-9]+)", text):
        stripped = digits.lstrip("0")
        key.append((1, 0, word) if word else (0, len(stripped), stripped))
    return [*key, (-1, 0, text)]  # equal but for leading zeros: by the text


def spelling_key(text: str) -> str:
    """Key under which spellings that differ only in case, blanks or leading zeros collide.

    >>> spelling_key("Cam 01") == spelling_key("cam 1"), spelling_key("c10") == spelling_key("c1")
    (True, False)
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", "".join(folded.split()))


def shortened(text: str, most: int = 40) -> str:
    """The text, cut to a length that fits an error message.

    >>> shortened("x" * 50, 8)
    'xxxxx...'
    """
    return text if len(text) <= most else text[: most - 3] + "..."


def with_name(number: int, names: Mapping[int, str]) -> str:
    """A camera number with its name, where it has one.

    >>> with_name(3, {3: "cam_c"}), with_name(4, {})
    ('3 (cam_c)', '4')
    """
    return f"{number} ({names[number]})" if number in names else str(number)


def with_names(numbers: Iterable[int], names: Mapping[int, str]) -> str:
    """Camera numbers with their names, as a list in words.

    >>> with_names([1, 2], {2: "yard"}), with_names([], {})
    ('1, 2 (yard)', 'none')
    """
    return ", ".join(with_name(number, names) for number in numbers) or "none"


def int64_array(values: Iterable[int], what: str) -> np.ndarray:
    """(N,) int64 array of labels; DataError where a value does not fit.

    >>> int64_array([1, 2], "identity").dtype
    dtype('int64')
    """
    values = list(values)
    kinds = set(map(type, values))
    try:
        if all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
            return np.fromiter(values, np.int64, len(values))
    except OverflowError:
        pass
    row = next(row for row, value in enumerate(values) if not fits_int64(value))
    raise DataError(
        f"the {what} of image {row} is {shortened(str_of(values[row]))}, not an integer that fits into 64 bits"
    )


def str_of(value: object) -> str:
    """`repr`, also of integers that are too long for it."""
    try:
        return repr(value)
    except ValueError:  # more than 4,300 digits
        return "an integer of thousands of digits"


def fits_int64(value: object) -> bool:
    """Whether a value is an integer of 64 bits.

    >>> fits_int64(2**63 - 1), fits_int64(2**63), fits_int64("3"), fits_int64(True)
    (True, False, False, False)
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        return False
    return -(2**63) <= int(value) <= LARGEST
