from __future__ import annotations

import pytest
import torch
from torch import distributed, multiprocessing

from vireid.layers.processes import mean_over_processes
from vireid.losses.adversarial import ModalityConfusion


def test_one_process_gives_the_tensors_back():
    tensors = [torch.ones(2), torch.ones(3, 1)]
    assert mean_over_processes(tensors) is tensors


def work(rank: int, folder: str) -> None:
    """One of two processes: a mean, and three steps of a critic on rows of its own."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mean = mean_over_processes([torch.full((2,), float(rank)), torch.full((3, 1), 10.0 * rank)])
    torch.manual_seed(0)
    loss = ModalityConfusion(hidden=4, feature_dim=5)
    torch.manual_seed(1 + rank)
    for _ in range(3):
        loss(torch.randn(8, 5), torch.tensor([0, 1] * 4))
    torch.save({"mean": list(mean), "critic": loss.critic()}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_one_mean_and_one_critic(tmp_path):
    multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert [value.tolist() for value in first["mean"]] == [[0.5, 0.5], [[5.0], [5.0], [5.0]]]
    for name, value in first["critic"].items():
        assert torch.equal(value, second["critic"][name])
