from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from vireid.core.errors import CheckpointError, UserError
from vireid.engine.checkpoint import load_model
from vireid.interop.weights import read_facts, write_weights

FACTS = {"data": "RegDB", "split": 3, "num_ids": 206}


@pytest.fixture
def layer():
    return torch.nn.Linear(3, 2).to(memory_format=torch.preserve_format)


def test_tensors_and_facts_come_back(tmp_path, layer):
    write_weights(tmp_path / "a.safetensors", layer.state_dict(), FACTS)
    assert read_facts(tmp_path / "a.safetensors") == FACTS
    assert all(torch.equal(value, layer.state_dict()[n]) for n, value in load_file(tmp_path / "a.safetensors").items())


def test_views_and_other_memory_orders_are_written_plainly(tmp_path):
    image = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    write_weights(tmp_path / "a.safetensors", {"a": image, "b": image[:1], "c": torch.rand(3, 2).T}, {})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], image)


def test_a_file_of_a_split_is_refused_for_another(tmp_path, layer):
    path = tmp_path / "a.safetensors"
    write_weights(path, layer.state_dict(), FACTS)
    load_model(path, layer, {"data": "RegDB", "split": 3})
    load_model(path, layer, {"data": "LLCM"})
    load_model(path, layer)
    with pytest.raises(CheckpointError, match=r"does not match this run: split is 3 in the checkpoint and 4"):
        load_model(path, layer, {"data": "RegDB", "split": 4})


def test_files_that_say_nothing(tmp_path, layer):
    from safetensors.torch import save_file

    save_file(layer.state_dict(), tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    save_file(layer.state_dict(), tmp_path / "c.safetensors", {"vireid": "[1]"})
    save_file(layer.state_dict(), tmp_path / "d.safetensors", {"vireid": "{"})
    assert [read_facts(tmp_path / f"{name}.safetensors") for name in "abcde"] == [{}] * 5


def test_writing_is_whole_or_nothing(tmp_path, layer, monkeypatch):
    path = tmp_path / "a.safetensors"
    write_weights(path, layer.state_dict(), FACTS)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vireid.core.io.os.replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_weights(path, layer.state_dict(), {})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_released_file_has_to_be_converted_first(tmp_path, layer):
    torch.save({"net": layer.state_dict()}, tmp_path / "best.t")
    with pytest.raises(CheckpointError, match=r"tools/convert_checkpoint\.py makes one of a released file"):
        load_model(tmp_path / "best.t", layer)
