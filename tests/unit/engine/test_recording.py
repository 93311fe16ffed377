import io

from vireid.engine.recording import JsonLines, progress


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


def test_a_short_loop_writes_nothing_into_a_log_file():
    stream = io.StringIO()
    assert list(progress(range(5), total=5, label="epoch 1", stream=stream)) == [0, 1, 2, 3, 4]
    assert stream.getvalue() == ""
