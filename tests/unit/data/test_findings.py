from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.errors import DataError, Finding
from vireid.data.findings import Findings, findings_of, with_place


def test_findings_are_raised_together_with_their_fields() -> None:
    findings = Findings()
    findings.add("is missing", place="a.txt", path=Path("a.txt"), suggestion="b.txt")
    findings.add("is empty", place="c.txt, line 2", kind="such lines")
    assert len(findings) == 2
    with pytest.raises(DataError) as error:
        findings.raise_if_any("the folder is damaged")
    assert error.value.text == "the folder is damaged"
    assert error.value.findings == (
        Finding("is missing", place="a.txt", path=Path("a.txt"), suggestion="b.txt"),
        Finding("is empty", place="c.txt, line 2", kind="such lines"),
    )
    assert str(error.value) == (
        "the folder is damaged (2 faults):\n  - a.txt: is missing; did you mean 'b.txt'?\n  - c.txt, line 2: is empty"
    )


def test_nothing_is_raised_without_findings() -> None:
    assert not Findings()
    Findings().raise_if_any("never")


def test_of_each_kind_the_first_ten_are_printed_and_all_are_stored() -> None:
    findings = Findings(Finding(f"{n}.jpg", kind=kind) for n in range(12) for kind in ("missing files", ""))
    with pytest.raises(DataError) as error:
        findings.raise_if_any("files")
    lines = str(error.value).splitlines()
    assert lines[0] == "files (24 faults):"
    assert lines[10:12] == ["  - 9.jpg", "    ... and 2 more missing files"]
    assert sum(line.startswith("  - ") for line in lines) == 10 + 12
    assert len(error.value.findings) == 24


def test_an_error_without_findings_is_one_finding_without_the_place() -> None:
    text = "no such folder\n  - a line that is not a finding"
    assert findings_of(DataError(text), place="x") == (Finding(text),)


def test_a_place_stands_before_the_place_of_a_finding() -> None:
    findings = [Finding("one"), Finding("two", place="line 3")]
    assert [finding.place for finding in findings_of(DataError("broken", findings), place="a.csv")] == [
        "a.csv",
        "a.csv: line 3",
    ]
    assert with_place(findings, "") == tuple(findings)
