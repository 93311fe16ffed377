"""Collect the findings of a dataset, so that all of them are reported together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from vireid.core.errors import DataError, Finding


class Findings:
    """Faults of the files of a dataset, in the order in which they are found.

    All readers add to one collector, so that one error or report has the faults of all files.
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._findings = list(findings)

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def add(
        self,
        text: str,
        *,
        place: str = "",
        kind: str = "",
        path: Path | None = None,
        suggestion: str | None = None,
        note: str = "",
    ) -> None:
        """Add a fault. The arguments are the fields of `Finding`."""
        self._findings.append(Finding(text, place=place, suggestion=suggestion, note=note, kind=kind, path=path))

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add the findings of another reader."""
        self._findings.extend(findings)

    def raise_if_any(self, text: str) -> None:
        """Raise one `DataError` with all findings below the heading `text`; do nothing if there are none."""
        if self._findings:
            raise DataError(text, self._findings)


def findings_of(error: DataError, *, place: str = "") -> tuple[Finding, ...]:
    """The findings of an error, each with `place` before its own place.

    An error without findings becomes one finding; its text names the place already.

    Example:
        >>> [str(finding) for finding in findings_of(DataError("the folder is damaged", ["one", "two"]), place="a")]
        ['a: one', 'a: two']
        >>> [str(finding) for finding in findings_of(DataError("the folder does not exist"), place="a")]
        ['the folder does not exist']
    """
    return with_place(error.findings, place) if error.findings else (Finding(error.text),)


def with_place(findings: Iterable[Finding], place: str) -> tuple[Finding, ...]:
    """The findings with `place` before the place of each."""
    if not place:
        return tuple(findings)
    return tuple(
        replace(finding, place=f"{place}: {finding.place}" if finding.place else place) for finding in findings
    )
