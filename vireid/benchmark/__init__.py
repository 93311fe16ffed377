"""Suites of runs, tables, figures and pages made of them. Reads its suites through `config`."""

from vireid.benchmark import (
    attention,
    bootstrap,
    compare,
    figures,
    page,
    plan,
    reported,
    results,
    runs,
    suite,
    tables,
)

__all__ = [
    "attention",
    "bootstrap",
    "compare",
    "figures",
    "page",
    "plan",
    "reported",
    "results",
    "runs",
    "suite",
    "tables",
]
