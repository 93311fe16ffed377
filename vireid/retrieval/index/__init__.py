"""Nearest-neighbor indexes, exact and approximate, behind one interface (`core.interfaces.GalleryIndex`)."""

from vireid.retrieval.index.faiss_backends import FaissFlat, FaissHNSW, FaissIVF
from vireid.retrieval.index.faiss_codes import FaissIVFPQ, FaissIVFRefined
from vireid.retrieval.index.milvus import Milvus
from vireid.retrieval.index.torch_exact import TorchExact

__all__ = [
    "FaissFlat",
    "FaissHNSW",
    "FaissIVF",
    "FaissIVFPQ",
    "FaissIVFRefined",
    "Milvus",
    "TorchExact",
]
