"""Synthetic images of a few people and runs of a few seconds, shared by the tests of this folder."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
collect_ignore = ["inputs.py", "process_parts.py"]


def tool(name: str):
    """`main` of tools/<name>.py, in process."""
    spec = importlib.util.spec_from_file_location(f"vireid_tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that they can be selected."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture(scope="session")
def run_tool():
    """Call a tool in process: name and words of the command line -> exit code."""
    return lambda name, *words: tool(name)(list(map(str, words)))


@pytest.fixture
def train_in_process(monkeypatch, run_tool):
    """Let suites train in this process: starting Python and importing torch takes longer than a training of a test."""
    from vireid.suites import runs

    def run(command: Sequence[str], *, stdout: IO[str], **options: Any) -> subprocess.CompletedProcess:
        _python, _script, subcommand, *words = command
        assert subcommand == "train", command
        with redirect_stdout(stdout), redirect_stderr(stdout):
            code = run_tool("train_net", *words)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(runs.subprocess, "run", run)


@pytest.fixture(scope="session")
def layouts(shared):
    """Layout -> folder of 24 synthetic people, made once for all test processes."""

    def make(layout: str) -> Path:
        def write(out: Path) -> None:
            arguments = ["--layout", layout, "--out", str(out), "--identities", "24", "--images", "2"]
            assert tool("make_synthetic")([*arguments, "--size", "64x32", "--seed", "3", "--workers", "1"]) == 0

        return shared(f"people_{layout}", write)

    return make


@pytest.fixture(scope="session")
def people(layouts) -> Path:
    """24 synthetic people in SYSU-MM01's layout."""
    return layouts("sysu")


@pytest.fixture(scope="session")
def cache(shared) -> Path:
    """Image cache of all test processes: each set of images is decoded once."""
    return shared("cache", Path.mkdir)


@pytest.fixture
def arguments(people, cache):
    """Command line of a run of a few seconds into a folder."""

    def make(out: Path, *overrides: object) -> list[str]:
        settings = {
            "DATA.ROOT": people,
            "CACHE_DIR": cache,
            "OUTPUT_DIR": out,
            "SIZE": "[64, 32]",
            "SAMPLER.STEPS": 4,
            "SAMPLER.IDENTITIES": 4,
            "SOLVER.EPOCHS": 3,
            "SOLVER.SCHEDULE.WARMUP": 1,
            "SOLVER.SCHEDULE.DROPS": "[2]",
        }
        pairs = [str(word) for pair in settings.items() for word in pair]
        return [*pairs, *map(str, overrides)]

    return make


CONFIG = str(Path(__file__).parent / "tiny.yml")


@pytest.fixture
def train(arguments):
    """Train in process; flags such as --resume come first, then overrides. Returns the exit code."""

    def run(out: Path, *words: object, config: str = CONFIG) -> int:
        flags = [word for word in words if str(word).startswith("--")]
        overrides = [word for word in words if not str(word).startswith("--")]
        return tool("train_net")(["--config-file", config, *flags, *arguments(out, *overrides)])

    return run


@pytest.fixture
def command(arguments):
    """The same as a command line for a process of its own."""

    def make(out: Path, *flags: str) -> list[str]:
        return [sys.executable, str(ROOT / "tools" / "train_net.py"), "--config-file", CONFIG, *flags, *arguments(out)]

    return make


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Variables of a process: one thread, as in the tests, and this folder in the path for `process_parts`."""
    path = f"{Path(__file__).parent}{os.pathsep}{ROOT}"
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


@pytest.fixture(scope="session")
def call(environment):
    """Run a command to its end: command line -> exit code and output."""

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture
def small(layouts, train):
    """Train a shipped config, small, into a folder; its records of epochs. A key with the value None stays as it is."""

    def run(out: Path, layout: str, method: str, *words: object) -> list[dict]:
        settings = {
            "DATA.ROOT": layouts(layout),
            "MODEL.BACKBONE.ARCH": "test_resnet",
            "MODEL.BACKBONE.PRETRAINED": False,
            "SAMPLER.PER_MODALITY": 2,
            "SOLVER.SCHEDULE.WARMUP": 0,
            "SOLVER.EPOCHS": 2,
            **dict(zip(words[::2], words[1::2], strict=True)),
        }
        pairs = [word for pair in settings.items() if pair[1] is not None for word in pair]
        assert train(out, "--resume", *pairs, config=str(ROOT / "configs" / layout / f"{method}.yml")) == 0
        records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [record for record in records if record["event"] == "epoch"]

    return run


@pytest.fixture
def state():
    """Weights, everything that losses keep, and the optimizer's moments, from the checkpoint of an epoch."""

    def read(run: Path, epoch: int) -> dict[str, torch.Tensor]:
        folder = run / "checkpoints" / f"epoch_{epoch:04d}"
        stored = torch.load(folder / "trainer.pt", weights_only=True)["optimizer"]["state"]
        moments = {
            f"{i} {name}": value for i, each in stored.items() for name, value in each.items() if torch.is_tensor(value)
        }
        return load_file(folder / "model.safetensors") | load_file(folder / "objective.safetensors") | moments

    return read
