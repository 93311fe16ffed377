"""Suites of runs: tables, figures and pages."""

from vireid.suites.suite import Suite, read_suite

__all__ = [
    "Suite",
    "read_suite",
]
