"""Galleries of embedded images: store, search and filters."""

from vireid.gallery.store import GalleryStore

__all__ = [
    "GalleryStore",
]
