"""Plots and HTML reports of a run."""

from vireid.visualize.page import write_report

__all__ = [
    "write_report",
]
