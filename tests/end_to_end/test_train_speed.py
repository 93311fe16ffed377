"""benchmarks/speed/train_speed.py: what it compares is the same, and it says what it measured."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "speed"))
import torch
import train_speed
from torch import Tensor

from vireid.config import Build, load_checked
from vireid.testing import tiny_batch


def config_of(method):
    words = ["--method", method, "--arch", "test_resnet", "--batch", "16"]
    options = train_speed.parser().parse_args(words)
    return Build(
        load_checked(train_speed.ROOT / "configs" / "sysu" / f"{method}.yml", train_speed.settings(options)),
        train_speed.FACTS,
    )


@pytest.mark.parametrize("method", sorted(train_speed.PLAIN))
def test_the_loops_are_the_losses_of_the_config(method):
    config, batch = config_of(method), tiny_batch(size=(96, 48))
    train_speed.same_loss(config, method, batch)


def test_a_loop_that_differs_is_noticed(monkeypatch):
    def other(fields: dict[str, Tensor], labels: Tensor, modality: Tensor) -> Tensor:
        return train_speed._agw(fields, labels, modality) * 1.01

    monkeypatch.setitem(train_speed.PLAIN, "agw", other)
    with pytest.raises(AssertionError):
        train_speed.same_loss(config_of("agw"), "agw", tiny_batch(size=(96, 48)))


@pytest.mark.parametrize("bf16", [False, True])
def test_matrix_products_are_timed_in_the_precision_of_the_run(tmp_path, monkeypatch, bf16):
    """A processor that emulates bfloat16 needs minutes for one product of this size."""
    timed, kept = [], train_speed.Environment

    class Environment(kept):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.bf16 = bf16  # what precision "auto" comes to on this processor
            self.autocast = nullcontext

    monkeypatch.setattr(train_speed, "Environment", Environment)
    monkeypatch.setattr(train_speed, "SIZE", (64, 32))
    monkeypatch.setattr(train_speed, "matrix_rate", lambda kind, device: timed.append(kind) or 1e9)
    options = train_speed.parser().parse_args(
        ["--arch", "test_resnet", "--batch", "16", "--steps", "1", "--repeats", "1"]
    )
    result = train_speed.measure(options, tmp_path)
    assert set(timed) == {torch.float32} | ({torch.bfloat16} if bf16 else set())
    assert set(result["matrix_peak_gflops"]) == {"float32"} | ({"bfloat16"} if bf16 else set())


@pytest.mark.slow
def test_a_short_run_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(train_speed, "SIZE", (64, 32))
    monkeypatch.setattr(train_speed, "MATRIX", {"cpu": 256})
    file = tmp_path / "speed.json"
    words = ["--arch", "test_resnet", "--batch", "16", "--steps", "1", "--repeats", "2", "--json"]
    assert train_speed.main([*words, str(file)]) == 0
    record = json.loads(file.read_text())
    (result,) = record["results"]
    ours, plain = result["ours_images_per_s"], result["plain_images_per_s"]
    assert 0 < ours["min"] <= ours["median"] <= ours["max"]
    assert 0 < plain["min"] <= plain["median"] <= plain["max"]
    assert 0 <= result["waiting_share"]["median"] <= 1
    assert result["gflop_per_image"] > 0
    assert record["command"].startswith(
        "python benchmarks/speed/train_speed.py --method agw --arch test_resnet --device cpu"
    )
