"""Every number that the published code gave, held against ours."""

from __future__ import annotations

import pytest
from runner import FOLDERS, SLOW, cases_of, golden_root, load_adapters, load_not_covered, run_case

CASES = list(cases_of(golden_root()))
ADAPTERS = load_adapters()
NOT_COVERED = load_not_covered()


def marked(case):
    marks = [pytest.mark.slow] if (case.folder, case.kind) in SLOW else []
    return pytest.param(case, id=f"{case.folder}/{case.name}", marks=marks)


@pytest.mark.parametrize("case", map(marked, CASES))
def test_equals_the_released_code(case):
    run_case(case, ADAPTERS, NOT_COVERED)


def test_the_folder_holds_cases():
    assert CASES, f"{golden_root()} holds no golden_<name>.json of {FOLDERS}: is VIREID_GOLDEN right?"


def test_the_list_of_uncovered_kinds_is_not_stale():
    assert not set(NOT_COVERED) & set(ADAPTERS), "kinds with an adapter still stand in not_covered.yml"
    assert all(isinstance(reason, str) and len(reason) > 10 for reason in NOT_COVERED.values())
