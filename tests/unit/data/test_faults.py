from __future__ import annotations

import pytest

from vireid.core.errors import DataError
from vireid.data.faults import faults_of, raise_faults


def test_faults_are_one_a_line_and_come_apart_again() -> None:
    with pytest.raises(DataError) as caught:
        raise_faults("the folder is broken", ["one", "two\n    ... and 3 more"])
    assert str(caught.value) == "the folder is broken (2 faults):\n  - one\n  - two\n    ... and 3 more"
    assert faults_of(caught.value) == ["one", "two\n    ... and 3 more"]


def test_other_errors_stay_whole() -> None:
    text = "no such folder\n  - a line that is no list of faults"
    assert faults_of(DataError(text), prefix="x: ") == [text]
