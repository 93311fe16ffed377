"""Evaluation protocols: query rows, gallery rows and ignored (junk) pairs."""

from vireid.evaluation.protocols.llcm import LLCMProtocol, LLCMReleasedTransposed
from vireid.evaluation.protocols.query_gallery import QueryGalleryProtocol
from vireid.evaluation.protocols.regdb import RegDBProtocol
from vireid.evaluation.protocols.sysu import SysuProtocol

__all__ = [
    "LLCMProtocol",
    "LLCMReleasedTransposed",
    "QueryGalleryProtocol",
    "RegDBProtocol",
    "SysuProtocol",
]
