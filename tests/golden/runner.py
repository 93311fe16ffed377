"""Runs every golden case of a folder through the adapter of its kind.

The folder is `VIREID_GOLDEN`, or `data` beside this file. It holds up to seven sub-folders (`agw`, `pae`, `mpa`,
`mcja`, `pmt`, `saai`, `usl`), each with its index `golden_<sub-folder>.json`. An adapter is a function of a case, found
by sub-folder and kind and by nothing else:

    @adapter("agw", "eval_sysu")
    def eval_sysu(case: Case) -> None:
        np.testing.assert_allclose(ours(case.arrays["distmat"]), case.arrays["out_cmc"], atol=1e-6, rtol=0)

Outcomes of a case: passes or fails in its adapter; is skipped where a file is not in the folder or its kind stands in
`not_covered.yml`; fails where its kind has neither an adapter nor a line there, or both.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

HERE = Path(__file__).parent
FOLDERS = ("agw", "pae", "mpa", "mcja", "pmt", "saai", "usl")
ADAPTER_MODULES = (
    "adapters_metrics",
    "adapters_gallery",
    "adapters_rerank",
    "adapters_data",
    "adapters_losses",
    "adapters_models",
    "adapters_networks",
    "adapters_mpanet",
    "adapters_pae",
    "adapters_mclnet",
    "adapters_augment",
    "adapters_ddag",
    "adapters_deen",
    "adapters_caj_mce",
    "adapters_mcja",
    "adapters_openset",
    "adapters_pmt",
    "adapters_pmtnet",
    "adapters_rle",
    "adapters_saai",
    "adapters_usl",
)

Check = Callable[["Case"], None]
ADAPTERS: dict[tuple[str, str], Check] = {}
SLOW: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Case:
    """One entry of an index and the folder it lies in."""

    folder: str  # one of FOLDERS, each with its conventions
    entry: Mapping[str, Any] = field(repr=False)  # as the index has it
    path: Path  # of the sub-folder
    siblings: Mapping[str, Mapping[str, Any]] = field(repr=False)  # entries of the same index by name

    @property
    def name(self) -> str:
        return self.entry["name"]

    @property
    def kind(self) -> str:
        return self.entry["kind"]

    @property
    def params(self) -> Mapping[str, Any]:
        return self.entry.get("params", {})

    @property
    def tolerance(self) -> Any:
        """A text in agw and mpa, numbers such as {"f64_vs_out64": {"rtol": ..., "atol": ...}} in pae."""
        return self.entry["tolerance"]

    @cached_property
    def arrays(self) -> Mapping[str, Any]:
        """The content of the case's file: arrays of an .npz or the object of a .json. A missing file skips the test."""
        file = self.path / self.entry["file"]
        if not file.is_file():
            pytest.skip(f"{self.folder}/{file.name} is not in the folder in use")
        if file.suffix == ".json":
            return json.loads(file.read_text(encoding="utf-8"))
        with np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}

    @cached_property
    def needed(self) -> list[Case]:
        """The cases that this one says it needs, in that order."""
        return [
            Case(self.folder, self.siblings[name], self.path, self.siblings) for name in self.entry.get("needs", [])
        ]


def adapter(folder: str, *kinds: str, slow: bool = False) -> Callable[[Check], Check]:
    """Decorator: the function checks cases of these kinds of that sub-folder. It raises where a number is off.

    `slow`: its cases are marked as slow tests.
    """

    def register(check: Check) -> Check:
        for kind in kinds:
            if (folder, kind) in ADAPTERS:
                raise ValueError(
                    f"{folder}/{kind} has two adapters: {ADAPTERS[folder, kind].__name__}, {check.__name__}"
                )
            ADAPTERS[folder, kind] = check
            if slow:
                SLOW.add((folder, kind))
        return check

    return register


def golden_root() -> Path:
    return Path(os.environ.get("VIREID_GOLDEN") or HERE / "data")


def index_of(folder: Path) -> list[Mapping[str, Any]]:
    """Entries of a sub-folder's index; none where the sub-folder is absent."""
    file = folder / f"golden_{folder.name}.json"
    if not file.is_file():
        return []
    index = json.loads(file.read_text(encoding="utf-8"))
    return index["items"] if "items" in index else index["cases"]


def cases_of(root: Path) -> Iterator[Case]:
    for folder in FOLDERS:
        entries = index_of(root / folder)
        siblings = {entry["name"]: entry for entry in entries}
        yield from (Case(folder, entry, root / folder, siblings) for entry in entries)


def load_adapters() -> Mapping[tuple[str, str], Check]:
    for module in ADAPTER_MODULES:
        importlib.import_module(module)
    return ADAPTERS


def load_not_covered(file: Path = HERE / "not_covered.yml") -> dict[tuple[str, str], str]:
    """(sub-folder, kind) -> reason."""
    listed = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return {(folder, kind): reason for folder, kinds in listed.items() for kind, reason in (kinds or {}).items()}


def run_case(case: Case, adapters: Mapping[tuple[str, str], Check], not_covered: Mapping[tuple[str, str], str]) -> None:
    key = (case.folder, case.kind)
    if key in adapters and key in not_covered:
        pytest.fail(f"{case.folder}/{case.kind} has an adapter: take it out of not_covered.yml")
    if key in not_covered:
        pytest.skip(f"not covered: {not_covered[key]}")
    if key not in adapters:
        pytest.fail(f"{case.folder}/{case.kind} has no adapter and no reason in not_covered.yml")
    adapters[key](case)
