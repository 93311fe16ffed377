"""Which images ask, which answer and which answers are not counted: row numbers of a table, never images."""

from __future__ import annotations

from vireid.evaluation.protocols import draws, llcm, official, query_gallery, regdb, selection, sysu
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
    "draws",
    "llcm",
    "official",
    "query_gallery",
    "regdb",
    "selection",
    "sysu",
]
