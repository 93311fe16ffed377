"""A trained model outside its run: images to embeddings, without dataset, cache folder and config file."""

from vireid.embedder.embedder import Embedder
from vireid.embedder.loading import load, save_bundle

__all__ = [
    "Embedder",
    "load",
    "save_bundle",
]
