"""The runner itself: an unknown kind fails, a missing file skips, any folder of the form runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from runner import Case, adapter, cases_of, load_adapters, load_not_covered, run_case

Failed, Skipped = pytest.fail.Exception, pytest.skip.Exception


def write_index(root, folder, entries, key="items"):
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / f"golden_{folder}.json").write_text(json.dumps({key: entries}))


def entry(name, kind, file="a.npz", **more):
    return {"name": name, "kind": kind, "file": file, "params": {}, "tolerance": "exact", **more}


def only_case(root) -> Case:
    (case,) = cases_of(root)
    return case


def test_an_unknown_kind_fails(tmp_path):
    write_index(tmp_path, "pae", [entry("x", "never_heard_of")], key="cases")
    with pytest.raises(Failed, match="pae/never_heard_of has no adapter"):
        run_case(only_case(tmp_path), load_adapters(), load_not_covered())


def test_a_kind_is_known_only_in_its_own_folder(tmp_path):
    write_index(tmp_path, "mpa", [entry("x", "eval_sysu")])
    with pytest.raises(Failed, match="mpa/eval_sysu has no adapter"):
        run_case(only_case(tmp_path), load_adapters(), load_not_covered())


def test_a_missing_file_skips(tmp_path):
    write_index(tmp_path, "agw", [entry("x", "eval_sysu", "gone.npz")])
    with pytest.raises(Skipped, match=r"agw/gone\.npz is not in the folder"):
        run_case(only_case(tmp_path), load_adapters(), load_not_covered())


def test_a_listed_kind_skips_with_its_reason(tmp_path):
    write_index(tmp_path, "agw", [entry("x", "later")])
    with pytest.raises(Skipped, match="not covered: comes with issue 99"):
        run_case(only_case(tmp_path), {}, {("agw", "later"): "comes with issue 99"})


def test_a_listed_kind_that_has_an_adapter_fails(tmp_path):
    write_index(tmp_path, "agw", [entry("x", "done")])
    with pytest.raises(Failed, match="take it out"):
        run_case(only_case(tmp_path), {("agw", "done"): lambda case: None}, {("agw", "done"): "comes later"})


def test_a_wrong_number_fails(tmp_path):
    """Copies of real cases with one output changed: the adapter must notice."""
    folder = tmp_path / "agw"
    rng = np.random.default_rng(0)
    write_index(tmp_path, "agw", [entry("q", "eval_regdb", "q.npz", params={"ties": False})])
    ids = rng.integers(0, 3, 6)
    arrays = {"distmat": rng.random((6, 6)), "q_pids": ids, "g_pids": ids}
    wrong = {"out_cmc_stable": np.zeros(6, np.float32), "out_mAP_stable": 0.5, "out_mINP_stable": 0.5}
    np.savez(folder / "q.npz", **arrays, **wrong)
    with pytest.raises(AssertionError):
        run_case(only_case(tmp_path), load_adapters(), load_not_covered())


def test_another_folder_with_other_names_runs(tmp_path):
    """Cases of the committed folder under new names and new file names; only the kinds stay."""
    from runner import HERE

    wanted = ("eval_sysu", "eval_llcm", "mclnet_eval", "sysu_tree")
    renamed: dict[str, list] = {"agw": [], "mpa": []}
    for number, case in enumerate(cases_of(HERE / "data")):
        source = case.path / case.entry["file"]
        if case.kind in wanted and source.is_file():
            file = f"{number}{source.suffix}"
            (tmp_path / case.folder).mkdir(exist_ok=True)
            shutil.copyfile(source, tmp_path / case.folder / file)
            renamed[case.folder].append({**case.entry, "name": f"case {number}", "file": file})
    for folder, entries in renamed.items():
        write_index(tmp_path, folder, entries)
    cases = list(cases_of(tmp_path))
    assert {case.kind for case in cases} == set(wanted)
    for case in cases:
        run_case(case, load_adapters(), load_not_covered())


def test_a_case_reaches_the_arrays_it_needs(tmp_path):
    write_index(tmp_path, "mpa", [entry("inputs", "a"), entry("outputs", "b", "b.json", needs=["inputs"])])
    np.savez(tmp_path / "mpa" / "a.npz", x=np.arange(3))
    (tmp_path / "mpa" / "b.json").write_text('{"sum": 3}')
    _, outputs = cases_of(tmp_path)
    (inputs,) = outputs.needed
    assert inputs.arrays["x"].sum() == outputs.arrays["sum"]


def test_two_adapters_for_one_kind_are_refused():
    load_adapters()
    with pytest.raises(ValueError, match="agw/eval_sysu has two adapters"):
        adapter("agw", "eval_sysu")(lambda case: None)
