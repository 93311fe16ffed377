"""Folders on disk to lists of samples."""

from __future__ import annotations

from vireid.data.datasets import llcm, regdb, sysu, sysu_arrays

__all__ = ["llcm", "regdb", "sysu", "sysu_arrays"]
