"""Folders on disk to lists of samples."""

from __future__ import annotations

from vireid.data.datasets import csv, llcm, regdb, sysu, sysu_arrays

__all__ = ["csv", "llcm", "regdb", "sysu", "sysu_arrays"]
