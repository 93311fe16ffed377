import pytest
from tensorboard.backend.event_processing import event_accumulator

from vireid.core.errors import UserError
from vireid.runs.history import read_history
from vireid.runs.log import JsonLines, LogTail, TensorBoard, read_records


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


def test_the_tail_of_a_log_gives_each_complete_record_once(tmp_path):
    log = JsonLines(tmp_path / "log.jsonl")
    tail = LogTail(log.path)
    assert tail.read() == []
    log("step", epoch=1, step=5, loss=1.5)
    assert [(record.event, record.epoch, record.step, record.values) for record in tail.read()] == [
        ("step", 1, 5, {"loss": 1.5})
    ]
    with log.path.open("a") as file:
        file.write('{"event": "epoch", "epoch": 1')
    assert tail.read() == []
    with log.path.open("a") as file:
        file.write(', "step": 9, "images_per_second": 80}\nbroken\n[1]\n')
    (record,) = tail.read()
    assert (record.event, record.step, record.images_per_second) == ("epoch", 9, 80.0)
    log.rewind(0)
    log("step", epoch=1, step=1)
    assert [record.step for record in tail.read()] == [1]


def test_damaged_lines_are_counted_and_empty_ones_are_not(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read_records(path) == ([], 0, 0)
    path.write_text('{"event": "epoch", "epoch": 1}\n\n{"event"\n3\n')
    records, lines, damaged = read_records(path)
    assert ([record.epoch for record in records], lines, damaged) == ([1], 4, 2)


def test_the_gradient_norm_and_the_speed_are_no_loss_terms(tmp_path):
    log = JsonLines(tmp_path / "log.jsonl")
    log("step", epoch=1, step=5, loss=9.0, grad_norm=7.0)
    log("epoch", epoch=1, step=9, lr=0.1, loss=2.0, id=1.5, grad_norm=3.0, images_per_second=90.0, waiting=0.1)
    history = read_history(log.path)
    assert history.epochs.terms == {"id": [1.5], "loss": [2.0]}
    assert (history.epochs.images_per_second, history.epochs.waiting) == (90.0, 0.1)
