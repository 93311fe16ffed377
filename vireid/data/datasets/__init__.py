"""Readers of SYSU-MM01, RegDB, LLCM, stored arrays and CSV files, and several of them joined."""

from vireid.data.datasets.csv import CsvDataset
from vireid.data.datasets.joined import JoinedDatasets
from vireid.data.datasets.llcm import LLCM
from vireid.data.datasets.regdb import RegDB
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.datasets.sysu_arrays import SysuArrays

__all__ = [
    "LLCM",
    "CsvDataset",
    "JoinedDatasets",
    "RegDB",
    "SysuArrays",
    "SysuMM01",
]
