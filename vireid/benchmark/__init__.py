"""Suites of runs, tables and pages made of them. Reads its suites through `config`."""

from vireid.benchmark import bootstrap, compare, page, plan, reported, results, runs, suite, tables

__all__ = ["bootstrap", "compare", "page", "plan", "reported", "results", "runs", "suite", "tables"]
