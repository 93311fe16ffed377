"""Coarse plots for speed, and the report of a finished run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.visualize import drawing, page


@pytest.fixture(autouse=True)
def _coarse_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pixels, the same content: most of the time of a page is spent on plots."""
    monkeypatch.setattr(drawing, "DPI", 40)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, build_finished_run: Callable[[Path], Path]) -> Path:
    """A finished run with its report, for tests that only read."""
    run = build_finished_run(tmp_path_factory.mktemp("reported"))
    page.write_report(run)
    return run
