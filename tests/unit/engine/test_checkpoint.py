import json
import logging
import pickle
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vireid.core.errors import CheckpointError, UserError
from vireid.core.types import Progress
from vireid.engine.checkpoint import MODEL, TRAINER, CheckpointFolder, TrainerState, load_model, load_weights

FACTS = {"data": "SysuMM01", "num_ids": 5}


def parts(width=4):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, 3, 6, 6)).sum().backward()
    optimizer.step()
    return model, nn.Linear(2, 2), optimizer


def save(folder, epochs, keep=2, best=None, facts=FACTS):
    model, objective, optimizer = parts()
    for epoch in epochs:
        state = TrainerState(Progress(epoch, 10 * epoch, {"id": 1.5}), optimizer.state_dict(), 2, best or {})
        CheckpointFolder(folder, keep=keep).save(model, objective, state, facts)
    return model, objective, optimizer


def test_everything_comes_back_and_the_memory_format_stays(tmp_path):
    model, _, optimizer = save(tmp_path, [3])
    other, other_objective, other_optimizer = parts()
    nn.init.zeros_(other[0].weight)
    state = CheckpointFolder(tmp_path).load(3, other, other_objective)
    other_optimizer.load_state_dict(dict(state.optimizer))
    assert state.progress == Progress(3, 30, {"id": 1.5})
    assert state.threads == 2
    for ours, theirs in zip(model.state_dict().values(), other.state_dict().values()):
        assert torch.equal(ours, theirs)
    assert other[0].weight.is_contiguous(memory_format=torch.channels_last)
    momentum = [group["momentum_buffer"] for group in optimizer.state_dict()["state"].values()]
    again = [group["momentum_buffer"] for group in other_optimizer.state_dict()["state"].values()]
    assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(momentum, again))


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    save(tmp_path, range(1, 7), keep=2, best={"epoch": 2, "rank1": 0.5})
    assert CheckpointFolder(tmp_path).epochs() == [2, 5, 6]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0002", "epoch_0005", "epoch_0006"]


@pytest.mark.parametrize("file", [MODEL, TRAINER, "meta.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_newest_checkpoint_falls_back_and_says_so(tmp_path, caplog, file, damage):
    save(tmp_path, [1, 2])
    path = tmp_path / "epoch_0002" / file
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        middle = content.index(b'"sha256": {') + 30 if file == "meta.json" else len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.unlink()
    with caplog.at_level(logging.WARNING):
        assert CheckpointFolder(tmp_path).newest(FACTS) == 1
    assert "damaged checkpoint" in caplog.text
    assert "using the one before" in caplog.text


def test_all_damaged_is_an_error_and_none_is_none(tmp_path):
    assert CheckpointFolder(tmp_path).newest(FACTS) is None
    save(tmp_path, [1])
    (tmp_path / "epoch_0001" / MODEL).unlink()
    with pytest.raises(CheckpointError, match="all 1 checkpoints are damaged"):
        CheckpointFolder(tmp_path).newest(FACTS)


def test_a_checkpoint_of_another_data_set_is_refused(tmp_path):
    save(tmp_path, [1])
    with pytest.raises(CheckpointError) as error:
        CheckpointFolder(tmp_path).newest({**FACTS, "num_ids": 7})
    assert str(error.value) == (
        f"{tmp_path / 'epoch_0001'}: checkpoint does not match this run: num_ids is 5 in the checkpoint and 7 in the"
        " config"
    )


def test_weights_of_another_model_are_refused_tensor_by_tensor(tmp_path):
    save(tmp_path, [1])
    other = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, affine=False), nn.Linear(2, 2, bias=False))
    with pytest.raises(CheckpointError) as error:
        load_weights(other, tmp_path / "epoch_0001" / MODEL)
    text = str(error.value)
    assert "2.weight is missing" in text
    assert "1.bias is not part of this model" in text
    assert "0.weight has shape (4, 3, 3, 3), the model needs (5, 3, 3, 3)" in text


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_weights_with_a_prefix_are_loaded_and_reported(tmp_path, caplog, prefix):
    model, _, _ = parts()
    path = tmp_path / "w.safetensors"
    save_file({prefix + name: (value + 1).contiguous() for name, value in model.state_dict().items()}, path)
    expected = {name: value + 1 for name, value in model.state_dict().items()}
    load_model(path, model)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert f"{path}: removed" in caplog.text


def test_weights_of_a_part_of_the_model_name_the_prefix(tmp_path):
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2)})
    save_file({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError) as error:
        load_model(tmp_path / "w.safetensors", model)
    assert "its names lack the prefix 'backbone.' ('bias' would be 'backbone.bias')" in str(error.value)
    assert "MODEL.BACKBONE.WEIGHTS" in str(error.value)


@pytest.mark.parametrize("inner", ["checkpoints", "."])
def test_a_run_folder_instead_of_a_checkpoint_names_its_newest(tmp_path, inner):
    model, _, _ = save(tmp_path / inner, [1, 2])
    with pytest.raises(CheckpointError) as error:
        load_model(tmp_path, model)
    assert str(error.value).endswith(f"name one of them: {tmp_path / inner / 'epoch_0002'}")


def test_a_page_instead_of_weights(tmp_path):
    (tmp_path / "w.safetensors").write_text("<html><title>404</title></html>")
    with pytest.raises(CheckpointError, match=r"is an HTML page \('404'\)"):
        load_model(tmp_path / "w.safetensors", parts()[0])


def test_a_hostile_pickle_is_not_executed(tmp_path):
    save(tmp_path, [1])
    marker = tmp_path / "executed"
    model, objective, _ = parts()
    folder = CheckpointFolder(tmp_path)
    for file, error in ((TRAINER, "not a readable optimizer state"), (MODEL, "cannot be read as a safetensors file")):
        path = tmp_path / "epoch_0001" / file
        whole = path.read_bytes()
        for content in (pickle.dumps(Hostile(marker)), pickle.dumps(Hostile(marker), protocol=2)):
            path.write_bytes(content)
            assert folder_damaged(folder)
            with pytest.raises(CheckpointError, match=error):
                folder.load(1, model, objective)
        torch.save({"progress": Hostile(marker)}, path)
        with pytest.raises(CheckpointError, match=error):
            folder.load(1, model, objective)
        path.write_bytes(whole)
    assert not marker.exists()


class Hostile:
    """Unpickling it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def folder_damaged(folder):
    with pytest.raises(CheckpointError, match="all 1 checkpoints are damaged"):
        folder.newest(FACTS)
    return True


@pytest.mark.parametrize(
    "meta", ["[]", "{}", "7", '{"sha256": [], "facts": 3}', "[" * 100_000, '{"sha256": {}, "facts": {}, "format": 1}']
)
def test_a_meta_file_of_any_other_form_is_damage(tmp_path, meta):
    save(tmp_path, [1])
    (tmp_path / "epoch_0001" / "meta.json").write_text(meta)
    assert folder_damaged(CheckpointFolder(tmp_path))


@pytest.mark.parametrize("state", [[], {"progress": {}}, {"progress": {"epoch": 1, "speed": 2}}, {"progress": 3}])
def test_a_state_of_any_other_form_is_refused(tmp_path, state):
    model, objective, _ = save(tmp_path, [1])
    torch.save(state, tmp_path / "epoch_0001" / TRAINER)
    with pytest.raises(CheckpointError, match="not the state of a training run"):
        CheckpointFolder(tmp_path).load(1, model, objective)


def test_the_weights_that_learn_come_back_beside_their_average(tmp_path):
    model, objective, optimizer = parts()
    average = parts()[0]
    nn.init.zeros_(average[0].weight)
    state = TrainerState(Progress(1, 10, {}), optimizer.state_dict(), 2, callbacks={"WeightAverage": {"decay": 0.9}})
    CheckpointFolder(tmp_path).save(average, objective, state, FACTS, training=model)
    other, other_average = parts()[0], parts()[0]
    nn.init.ones_(other[0].weight)
    loaded = CheckpointFolder(tmp_path).load(1, other_average, objective, training=other)
    assert loaded.ema == 0.9
    assert torch.equal(other[0].weight, model[0].weight)
    assert not other_average[0].weight.any()


@pytest.fixture
def small_disk():
    """No file may grow beyond so many bytes: the write fails as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limited(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.mark.parametrize("room", [0, 100, 900, 2000])
def test_a_full_disk_leaves_the_checkpoints_before_whole(tmp_path, small_disk, room):
    model, objective, optimizer = save(tmp_path, [1])
    content = {path.name: path.read_bytes() for path in (tmp_path / "epoch_0001").iterdir()}
    assert max(map(len, content.values())) > 2000
    folder = CheckpointFolder(tmp_path, keep=1)
    for epoch in (1, 2):  # over the one that is there, and beside it
        state = TrainerState(Progress(epoch, 10, {}), optimizer.state_dict(), 2)
        with small_disk(room), pytest.raises(UserError) as error:
            folder.save(model, objective, state, FACTS)
        assert str(error.value).startswith(f"{tmp_path / f'epoch_{epoch:04d}'}: cannot be written (")
        assert str(error.value).endswith("; the previous version is unchanged")
        assert [path.name for path in tmp_path.iterdir()] == ["epoch_0001"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "epoch_0001").iterdir()} == content
    assert folder.newest(FACTS) == 1
    assert folder.save(model, objective, state, FACTS) == tmp_path / "epoch_0002"


def test_a_model_is_loaded_from_a_folder_or_a_file_and_damage_is_refused(tmp_path):
    model, *_ = save(tmp_path, [1])
    other = parts()[0]
    nn.init.zeros_(other[0].weight)
    load_model(tmp_path / "epoch_0001", other)
    assert torch.equal(model[0].weight, other[0].weight)
    load_model(tmp_path / "epoch_0001" / MODEL, other)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_model(tmp_path / "epoch_0009", other)
    meta = tmp_path / "epoch_0001" / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "sha256": {MODEL: "0"}}))
    with pytest.raises(CheckpointError, match="changed since it was written"):
        load_model(tmp_path / "epoch_0001", other)


@pytest.mark.parametrize("file", ["", MODEL])
@pytest.mark.parametrize("name", ["split", "trial"])  # trial: as older versions stored it
def test_a_checkpoint_of_another_split_of_the_dataset_is_refused(tmp_path, file, name):
    model, *_ = save(tmp_path, [1], facts={"data": "RegDB", name: 3, "num_ids": 206})
    path = tmp_path / "epoch_0001" / file
    load_model(path, model, {"data": "RegDB", "split": 3})
    load_model(path, model, {"data": "LLCM"})  # another data set: nothing of it was seen in training
    with pytest.raises(CheckpointError, match="epoch_0001: checkpoint does not match this run: split is 3"):
        load_model(path, model, {"data": "RegDB", "split": 4})


OLD_STATE = {  # trainer.pt of versions before 0.2
    "progress": {"epoch": 1, "step": 10, "last_epoch": {}},
    "optimizer": {},
    "threads": 2,
    "best": {},
    "processes": 1,
    "ema": 0.9,
}


def test_the_state_of_earlier_versions_is_read_and_written():
    state = TrainerState.of(OLD_STATE)
    assert state.ema == 0.9
    assert state.to_saved() == OLD_STATE
    assert TrainerState.of({**OLD_STATE, "ema": 0.0}).callbacks == {}


def test_the_state_of_other_callbacks_is_kept_with_it():
    state = TrainerState(Progress(1, 10, {}), {}, 2, callbacks={"WeightAverage": {"decay": 0.9}, "Mine": {"seen": 3}})
    assert TrainerState.of(state.to_saved()) == state
