"""A trained model outside its run: images to embeddings, without dataset, cache folder and config file."""

from vireid.embedder.embedder import Embedder
from vireid.embedder.loading import load, save_bundle
from vireid.embedder.sharing import from_hub, pull_from_hub, push_to_hub

__all__ = [
    "Embedder",
    "from_hub",
    "load",
    "pull_from_hub",
    "push_to_hub",
    "save_bundle",
]
