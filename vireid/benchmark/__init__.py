"""Suites of runs, tables, figures and pages made of them; costs; the model zoo. Reads its suites through `config`."""

from vireid.benchmark import (
    attention,
    bootstrap,
    catalogue,
    compare,
    cost,
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
    "catalogue",
    "compare",
    "cost",
    "figures",
    "page",
    "plan",
    "reported",
    "results",
    "runs",
    "suite",
    "tables",
]
