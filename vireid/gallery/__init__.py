"""Galleries of embedded images: store, search and filters. The public names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {  # an archive is read and written by processes that do not import torch, as `GalleryStore` does
    "ArchiveRows": "vireid.gallery.columns",
    "GalleryArchive": "vireid.gallery.archive",
    "GalleryStore": "vireid.gallery.store",
    "Selection": "vireid.gallery.selection",
    "convert_gallery": "vireid.gallery.conversion",
    "export_parquet": "vireid.gallery.parquet",
    "import_parquet": "vireid.gallery.parquet",
}
__all__ = [
    "ArchiveRows",
    "GalleryArchive",
    "GalleryStore",
    "Selection",
    "convert_gallery",
    "export_parquet",
    "import_parquet",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vireid.gallery' has no attribute {name!r} (it has: {', '.join(__all__)})")


def __dir__() -> list[str]:
    return sorted(__all__)
