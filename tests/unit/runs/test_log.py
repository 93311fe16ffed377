import pytest
from tensorboard.backend.event_processing import event_accumulator

from vireid.core.errors import UserError
from vireid.runs.log import JsonLines, TensorBoard


def test_records_of_an_unfinished_epoch_and_half_lines_are_dropped_on_rewind(tmp_path):
    log = JsonLines(tmp_path / "log.jsonl")
    log("epoch", epoch=1, loss=2.0)
    log("step", epoch=2, loss=1.5)
    with log.path.open("a") as file:
        file.write('{"event": "step", "ep')
    log.rewind(1)
    assert log.read() == [{"event": "epoch", "epoch": 1, "loss": 2.0}]
    log("epoch", epoch=2, loss=1.0)
    assert [record["epoch"] for record in log.read()] == [1, 2]


def test_the_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/log\.jsonl: cannot be written"):
        JsonLines(tmp_path / "file" / "log.jsonl")("epoch", epoch=1)
    with pytest.raises(UserError, match=r"file: cannot be written"):
        TensorBoard(tmp_path / "file")("epoch", step=1, loss=1.0)


def curves(folder):
    """What `tensorboard --logdir` would draw: tag -> [(step, value)]."""
    shown = event_accumulator.EventAccumulator(str(folder))
    shown.Reload()
    return {tag: [(e.step, e.value) for e in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}


def test_records_are_curves(tmp_path):
    board = TensorBoard(tmp_path)
    board("epoch", epoch=1, step=4, loss=2.0)
    board("evaluation", epoch=1, step=4, protocol="all", rank1=0.5)
    board("epoch", epoch=2, step=8, loss=1.0, note="words are left out")
    board("result", all={"rank1": 0.5})
    found = curves(tmp_path)
    assert found["epoch/loss"] == [(4, 2.0), (8, 1.0)]
    assert found["evaluation/all/rank1"] == [(4, 0.5)]
    assert sorted(found) == ["epoch/epoch", "epoch/loss", "evaluation/all/epoch", "evaluation/all/rank1"]


def test_points_of_steps_that_run_again_are_hidden(tmp_path):
    killed = TensorBoard(tmp_path)
    for step, loss in ((4, 3.0), (8, 2.0), (12, 1.0)):
        killed("epoch", step=step, loss=loss)
    resumed = TensorBoard(tmp_path)
    resumed("epoch", step=8, loss=2.5)
    assert curves(tmp_path)["epoch/loss"] == [(4, 3.0), (8, 2.5)]
