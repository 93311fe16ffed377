"""Suites of runs: tables, figures and pages."""

from vireid.suites.suite import Suite, list_suites, read_suite

__all__ = [
    "Suite",
    "list_suites",
    "read_suite",
]
