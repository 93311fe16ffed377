"""Refusals and interruptions: one clear text, nothing half-written, nothing overwritten."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from vireid.core.errors import UserError
from vireid.synthetic import Recipe, World, write_dataset

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_synthetic", ROOT / "tools" / "make_synthetic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tool: ModuleType, out: Path, *options: str) -> int:
    return tool.main(["--layout", "sysu", "--out", str(out), "--workers", "1", *options])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--identities", "0"], "--identities must be at least 5 (2 to train, 1 to validate, 2 to test), got 0"),
        (["--identities", "10000"], "--identities must be at most 9999 (folder names have four digits), got 10000"),
        (["--identities", "20", "--test-identities", "19"],
         "--identities 20 with 4 val and 19 test leaves -3 to train; at least 2 needed"),
        (["--identities", "400", "--test-identities", "350", "--val-identities", "10"],
         "--test-identities must be at most 332, the numbers that all cameras have, got 350"),
        (["--images", "0"], "--images must be between 1 and 9999, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--size", "288"], "--size must be HEIGHTxWIDTH in pixels, as in 288x144, got '288'"),
        (["--size", "4x2"], "--size must have sides between 32 and 2048 pixels, got 4x2"),
        (["--difficulty", "2"], "--difficulty must be between 0 and 1, got 2"),
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (["--identities", "3", "--images", "-2", "--difficulty", "nan"],
         "--images must be between 1 and 9999, got -2\n"
         "--difficulty must be between 0 and 1, got nan\n"
         "--identities must be at least 5 (2 to train, 1 to validate, 2 to test), got 3"),
    ],
)  # fmt: skip
def test_bad_arguments(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture, options: list[str], text: str
) -> None:
    arguments = [*options, "--workers", "1"] if "--workers" not in options else options
    assert tool.main(["--out", str(tmp_path / "set"), *arguments]) == 2
    assert capsys.readouterr().err == f"error: {text}\n"
    assert not list(tmp_path.iterdir())


def test_other_layouts_are_refused_by_the_parser(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.main(["--out", str(tmp_path / "set"), "--layout", "elsewhere"]) == 2


def test_the_tool_makes_a_set_once(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, options = tmp_path / "set", ["--identities", "5", "--images", "1", "--size", "64x32"]
    assert run(tool, out, *options, "--contact-sheet", str(tmp_path / "sheet.png")) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    first = (out / "synthetic.json").stat().st_mtime_ns
    assert run(tool, out, *options) == 0
    assert f"exists already, with the same parameters: {out}" in capsys.readouterr().out
    assert (out / "synthetic.json").stat().st_mtime_ns == first
    assert run(tool, out, *options, "--seed", "1") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {out} holds a synthetic dataset of other parameters (see {out / 'synthetic.json'}); "
        "give --out another folder or remove this one"
    )


def test_a_folder_with_something_else_is_refused(tmp_path: Path, small_recipe: Recipe) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError) as caught:
        write_dataset(tmp_path / "set", small_recipe, progress=False)
    assert str(caught.value) == (
        f"{tmp_path / 'set'} exists and is not empty; give --out another folder or remove this one"
    )
    assert [entry.name for entry in tmp_path.rglob("*")] == ["set", "thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path, small_recipe: Recipe) -> None:
    (tmp_path / "set").write_text("")
    with pytest.raises(UserError, match="is a file; give --out a new folder"):
        write_dataset(tmp_path / "set", small_recipe, progress=False)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError, SystemExit])
def test_nothing_is_left_after_an_interruption(
    tmp_path: Path, small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    taken = []

    def photograph(self: World, *key: int) -> None:
        taken.append(key)
        if len(taken) > 5:
            raise fault
        return real(self, *key)

    real = World.photograph
    monkeypatch.setattr(World, "photograph", photograph)
    with pytest.raises(fault):
        write_dataset(tmp_path / "set", small_recipe, progress=False)
    assert len(taken) > 5
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_tool_with_workers_leaves_nothing(tmp_path: Path, number: int, code: int) -> None:
    command = [
        sys.executable,
        str(ROOT / "tools" / "make_synthetic.py"),
        "--out",
        str(tmp_path / "set"),
        "--workers",
        "2",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--identities", "400", "--images", "20", "--size", "64x32"],  # short jobs, which a signal waits for
        env=environment,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    until = time.monotonic() + 30
    while not list(tmp_path.glob(".set.*/cam*/*/*.jpg")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled(tmp_path: Path, small_recipe: Recipe) -> None:
    (tmp_path / "set").mkdir()
    assert write_dataset(tmp_path / "set", replace(small_recipe, identities=5, images=1), progress=False)
    assert (tmp_path / "set" / "exp" / "train_id.txt").is_file()


def test_the_tool_writes_every_layout(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for layout, folder in (("regdb", "Thermal"), ("llcm", "test_nir")):
        out, options = tmp_path / layout, ["--identities", "4", "--images", "1", "--size", "32x32", "--workers", "1"]
        sheet = tmp_path / f"{layout}.png"
        assert tool.main(["--layout", layout, "--out", str(out), *options, "--contact-sheet", str(sheet)]) == 0
        assert (out / folder).is_dir()
        assert sheet.stat().st_size > 1000
    assert tool.main(["--layout", "llcm", "--out", str(tmp_path / "x"), "--identities", "2", "--workers", "1"]) == 2
    assert "error: --identities must be between 4 (2 to train, 2 to test) and 9999, got 2\n" in capsys.readouterr().err
    with pytest.raises(UserError, match="--layout must be one of sysu, regdb, llcm, got reg"):
        Recipe(layout="reg").check()
