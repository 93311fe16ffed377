"""Reading a run folder: what is there, what is missing, what is damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.runs.reading import read_run


def test_reads_all_of_a_finished_run(finished: Path) -> None:
    run = read_run(finished)
    assert run.notes == []
    assert list(run.epochs.epoch) == [1, 2, 3]
    assert {name: list(values) for name, values in run.epochs.terms.items()} == {
        "id": [5.0, 2.5, 5.0 / 3],
        "triplet": [0.5, 0.25, 0.5 / 3],
        "loss": [6.0, 3.0, 2.0],
    }
    assert list(run.epochs.terms)[-1] == "loss"
    assert run.epochs.images_per_second == pytest.approx(102)
    assert [(item.epoch, item.values["rank1"]) for item in run.evaluations] == [
        (1, 0.1),
        (2, 0.2),
        (3, pytest.approx(0.3)),
    ]
    assert [result.name for result in run.results] == ["all", "indoor"]
    assert run.results[0].chance is None
    assert run.results[0].condition("hardware") == "not stated"
    assert [len(lists) for lists in run.lists] == [7, 7]
    assert run.modalities("all") == ("infrared", "visible")
    assert run.modalities("unknown") == ("query", "gallery")


def test_correct_and_answerable(finished: Path) -> None:
    lists = read_run(finished).lists[0]
    expected = [[i != -1 and (1, 1, 2, 2, 3)[i] == q for i in row] for row, q in zip(lists.order, lists.query_id)]
    assert lists.correct().tolist() == expected
    assert lists.answerable().tolist() == [True] * 6 + [False]


def test_a_whole_list_without_a_right_answer_is_not_answerable(finished: Path) -> None:
    path = finished / "rankings.npz"
    arrays = dict(np.load(path))
    arrays["all/order"][4] = [0, 1, 2, 3, -1]  # identity 3 is in the gallery but was not counted for this query
    np.savez(path, **arrays)
    assert read_run(finished).lists[0].answerable().tolist() == [True] * 4 + [False, True, False]


def test_later_record_of_an_epoch_wins_and_absent_terms_are_gaps(finished: Path) -> None:
    with (finished / "log.jsonl").open("a") as file:
        file.write(json.dumps({"event": "epoch", "epoch": 2, "lr": 0.2, "loss": 1.5, "late": 1}) + "\n")
    epochs = read_run(finished).epochs
    assert list(epochs.lr) == [0.1, 0.2, 0.1]
    assert epochs.terms["loss"][1] == 1.5
    assert [math.isnan(value) for value in epochs.terms["late"]] == [True, False, True]


def test_a_line_cut_short_is_left_out_and_said(finished: Path) -> None:
    with (finished / "log.jsonl").open("a") as file:
        file.write('{"event": "epoch", "epo')
    run = read_run(finished)
    assert list(run.epochs.epoch) == [1, 2, 3]
    assert run.notes == ["1 of the 11 lines of log.jsonl cannot be read and are left out."]


def test_chance_is_read_where_the_evaluation_gives_it(finished: Path) -> None:
    path = finished / "metrics.json"
    content = json.loads(path.read_text())
    content["results"]["all"]["chance"] = {"rank1": 0.125}
    path.write_text(json.dumps(content))
    assert [result.chance for result in read_run(finished).results] == [0.125, None]


def test_trained_run_has_notes_that_name_the_command(trained: Path) -> None:
    run = read_run(trained)
    command = f"tools/train_net.py --config-file {trained}/config.yml --eval-only OUTPUT_DIR {trained}"
    assert run.notes == [
        f"metrics.json is missing: the run has not been evaluated. Make it with: {command}",
        f"rankings.npz is missing: no test identities, no ranked lists. Make it with: {command}",
    ]
    assert run.results == []


def test_evaluated_only_run(finished: Path) -> None:
    (finished / "log.jsonl").unlink()
    (finished / "config.yml").unlink()
    assert read_run(finished).notes == [
        "log.jsonl holds no finished epoch, so there are no loss curves: this run was only evaluated.",
        "config.yml is missing, so the settings of this run are not shown.",
    ]


def test_no_folder() -> None:
    with pytest.raises(UserError) as error:
        read_run(Path("runs/none"))
    assert str(error.value) == (
        "--run runs/none: the folder does not exist.\n"
        "    Make it with: tools/train_net.py --config-file configs/sysu/mmd.yml OUTPUT_DIR runs/none"
    )


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_run(tmp_path)
    assert str(error.value) == (
        f"--run {tmp_path}: nothing to show, log.jsonl and metrics.json missing.\n"
        f"    Make it with: tools/train_net.py --config-file configs/sysu/mmd.yml OUTPUT_DIR {tmp_path}"
    )


def test_run_killed_in_its_first_epoch(trained: Path) -> None:
    (trained / "log.jsonl").write_text("")
    with pytest.raises(UserError) as error:
        read_run(trained)
    assert str(error.value) == (
        f"--run {trained}: nothing to show, metrics.json missing.\n"
        f"    Make it with: tools/train_net.py --config-file {trained}/config.yml --resume OUTPUT_DIR {trained}"
    )


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("metrics.json", b"{", "not the results of a run (Expecting property name enclosed in double quotes"),
        ("metrics.json", b"{}", "not the results of a run (results is missing)"),
        ("metrics.json", b'{"results": {"all": {}}}', "not the results of a run (conditions is missing)"),
        ("metrics.json", b"[1]", "not the results of a run (list indices must be integers"),
        ("rankings.npz", b"PK\x03\x04", "cannot be read (File is not a zip file)"),
        ("rankings.npz", b"", "cannot be read (No data left in file)"),
    ],
)
def test_damaged_file(finished: Path, name: str, content: bytes, fault: str) -> None:
    (finished / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_run(finished)
    text, command = str(error.value), f"--config-file {finished}/config.yml --eval-only OUTPUT_DIR {finished}"
    assert text.startswith(f"{finished / name}: {fault}")
    assert text.endswith(f").\n    Make it with: tools/train_net.py {command}")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("all/order", None, "all/order is missing"),
        ("all/gallery_id", np.zeros(2, int), "all/gallery_id has 2 rows instead of 5"),
        ("all/score", np.zeros((7, 3)), "all/order and all/score are not both (queries, ranks)"),
        ("all/order", np.full((7, 5), 5), "all/order has rows outside the gallery of 5"),
        ("all/order", np.full((7, 5), -2), "all/order has rows outside the gallery of 5"),
    ],
)
def test_arrays_that_contradict_each_other(finished: Path, key: str, value: np.ndarray | None, fault: str) -> None:
    path = finished / "rankings.npz"
    arrays = dict(np.load(path))
    arrays[key] = value
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError) as error:
        read_run(finished)
    assert str(error.value).startswith(f"{path}: not the ranked lists of a run ({fault}).\n")
