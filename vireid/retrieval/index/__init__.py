"""Search in galleries of any size, exact or approximate, by one interface (`core.protocols.GalleryIndex`)."""

from vireid.retrieval.index import faiss_backends, faiss_base, faiss_cards, faiss_files, milvus, torch_exact, vectors
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
    "faiss_backends",
    "faiss_base",
    "faiss_cards",
    "faiss_files",
    "milvus",
    "torch_exact",
    "vectors",
]
