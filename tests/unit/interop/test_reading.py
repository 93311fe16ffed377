"""Released files as their codes saved them, damaged ones, and ones with code inside."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.core.errors import CheckpointError
from vireid.interop.released.reading import read_tensors


@pytest.fixture
def tensors():
    return OrderedDict(a=torch.arange(4.0), b=torch.tensor(3))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "as before torch 1.6"])
def test_a_state_dict_beside_numbers_of_numpy(tmp_path, tensors, zipped):
    """AGW and its children: {'net': ..., 'cmc': array, 'mAP': a NumPy scalar, 'epoch': 60}."""
    scores = {"cmc": np.linspace(0, 1, 20), "mAP": np.float64(0.5), "mINP": np.float32(0.1), "epoch": 60}
    path = tmp_path / "best.t"
    torch.save({"net": tensors, **scores}, path, _use_new_zipfile_serialization=zipped)
    (found,) = read_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_names_of_numpy_1_are_read(tmp_path, tensors):
    """Releases of 2019 to 2022 stored `numpy.core.multiarray`, which NumPy 2 calls `numpy._core.multiarray`."""
    path, older = tmp_path / "new.t", tmp_path / "old.t"
    torch.save({"net": tensors, "mAP": np.float64(0.5), "cmc": np.zeros(3)}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(older, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            target.writestr(name, content)
    assert read_tensors(older)[0].keys() == tensors.keys()


def test_a_bare_state_dict(tmp_path, tensors):
    """MPANet."""
    torch.save(tensors, tmp_path / "model_best.pth")
    assert [found.keys() for found in read_tensors(tmp_path / "model_best.pth")] == [tensors.keys()]


def test_nested_dicts(tmp_path, tensors):
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"run": {"model": {"state_dict": tensors}}, "optimizer": optimizer}, tmp_path / "a.pth")
    assert tensors.keys() in [found.keys() for found in read_tensors(tmp_path / "a.pth")]


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("where", ["value", "name", "bare"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, tensors, where, zipped):
    trap = Hostile(tmp_path / "run")
    content = {"value": {"net": tensors, "epoch": trap}, "name": {"net": tensors, (trap,): 1}, "bare": trap}[where]
    torch.save(content, tmp_path / "a.t", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as error:
        read_tensors(tmp_path / "a.t")
    place, fault = str(error.value).split(": ")
    assert place == str(tmp_path / "a.t")
    assert (
        fault == f"requires {os.name}.mkdir, which files of weights do not need; refused, no code of the file was run"
    )
    assert not (tmp_path / "run").exists()


def test_a_hostile_numpy_scalar_is_not_made(tmp_path, tensors):
    """`numpy.core.multiarray.scalar` of an object type would unpickle its second argument."""

    class Scalar:
        def __reduce__(self):
            return np.float64(1).__reduce__()[0], (np.dtype("O"), pickle.dumps(Hostile(tmp_path / "run")))

    torch.save({"net": tensors, "mAP": Scalar()}, tmp_path / "a.t")
    assert read_tensors(tmp_path / "a.t")[0].keys() == tensors.keys()
    assert not (tmp_path / "run").exists()


def test_plain_pickles_are_no_way_around(tmp_path):
    (tmp_path / "a.t").write_bytes(pickle.dumps(Hostile(tmp_path / "run")))
    with pytest.raises(CheckpointError):
        read_tensors(tmp_path / "a.t")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a checkpoint\n", b"\x80\x02}q\x00."])
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "a.t").write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"a\.t: (cannot be read as a file of torch\.save|contains no named tensors)"
    ):
        read_tensors(tmp_path / "a.t")


def test_a_damaged_file(tmp_path, tensors):
    torch.save({"net": tensors}, tmp_path / "a.t")
    whole = (tmp_path / "a.t").read_bytes()
    (tmp_path / "a.t").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"a\.t: cannot be read as a file of torch\.save"):
        read_tensors(tmp_path / "a.t")


def test_a_file_that_is_not_there_and_one_without_tensors(tmp_path):
    with pytest.raises(CheckpointError, match="file does not exist"):
        read_tensors(tmp_path / "a.t")
    torch.save({"net": {}, "epoch": 3}, tmp_path / "a.t")
    with pytest.raises(CheckpointError, match="contains no named tensors"):
        read_tensors(tmp_path / "a.t")


def test_what_torch_trusts_elsewhere_is_as_before(tmp_path, tensors):
    torch.serialization.add_safe_globals([OrderedDict])
    before = set(torch.serialization.get_safe_globals())
    torch.save(tensors, tmp_path / "a.t")
    read_tensors(tmp_path / "a.t")
    assert set(torch.serialization.get_safe_globals()) == before
    torch.serialization.clear_safe_globals()
