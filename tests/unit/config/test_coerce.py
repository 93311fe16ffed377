import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest

from vireid.config.coerce import Mismatch, convert, describe, hints_of
from vireid.core.paths import InputFile, PathText


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (True, bool, True),
        ("x", str, "x"),
        ("x", Path, Path("x")),
        ([1, 2], tuple[int, int], (1, 2)),
        ([1, 2, 3], tuple[float, ...], (1.0, 2.0, 3.0)),
        ([1], list[float], [1.0]),
        ([1], Sequence[int], [1]),
        ([1], tuple, (1,)),
        ({"a": 1}, Mapping[str, float], {"a": 1.0}),
        ("none", str | None, None),
        ("none", Optional[float], None),  # noqa: UP045  both spellings
        ("none", Literal["none", "a"] | None, "none"),
        ("none", str, "none"),
        (None, float | None, None),
        (3, int | float, 3),
        (3, float | str, 3.0),
        ("hinge", Literal["threshold", "hinge"], "hinge"),
        (5, Any, 5),
        (5, Annotated[float, "metres"], 5.0),
    ],
)
def test_accepted(value, annotation, expected):
    result = convert(value, annotation)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        (True, int, "is not an integer"),
        (True, float, "is not a number"),
        (1, bool, "is not true or false"),
        (1.0, int, "is not an integer"),
        (math.nan, float, "is not a number"),
        ("3", float, "is not a number"),
        (3, str, "is not a word"),
        (None, str, "is not a word"),
        ("x", float | None, "is not a number or null"),
        ([1], tuple[int, int], "is not a list of 2 integers"),
        ([1, "x"], tuple[int, str, int], "is not a list of 3: an integer, a word, an integer"),
        ("abc", Sequence[str], "is not a list of words"),
        ([1.5], list[int], "is not a list of integers"),
        ({"a": "x"}, Mapping[str, float], "is not a map of numbers"),
        (math.inf, float, "is not finite"),
        (-math.inf, float | None, "is not a number or null"),
        ("hing", Literal["threshold", "hinge"], "is not one of ('threshold', 'hinge'); did you mean 'hinge'?"),
        (True, Literal[1, 2], "is not one of (1, 2)"),
        ("hing", Literal["hinge", "x"] | None, "is not one of ('hinge', 'x'); did you mean 'hinge'?"),
        ("x", Mapping[str, int] | None, "is not a map of integers or null"),
    ],
)
def test_refused(value, annotation, text):
    with pytest.raises(Mismatch) as fault:
        convert(value, annotation)
    assert str(fault.value) == text


def test_describe_a_choice():
    assert describe(Literal["a", "b"]) == "one of ('a', 'b')"


def test_hints_survive_a_name_that_is_not_there():
    class Part:
        def __init__(self, *, size: "int", tree: "NotHere") -> None:  # noqa: F821
            pass

    assert hints_of(Part)["size"] is int
    assert hints_of(Part)["tree"] is Any


def test_a_marked_path_is_text_to_everything_else():
    assert convert("~/x", InputFile | None) == "~/x"
    assert convert(None, InputFile | None) is None
    assert describe(PathText) == "a word"
    with pytest.raises(Mismatch):
        convert(3, PathText)
