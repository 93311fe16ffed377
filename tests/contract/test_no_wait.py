"""A step of any shipped method asks the device for nothing: the trainer's look at the losses is the one wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vireid.config import Build, check_config
from vireid.config.load import read_unchecked
from vireid.core.types import Batch, DatasetInfo, Progress
from vireid.testing import cluster_labels, tiny_batch, tiny_epoch
from vireid.zoo.models import config_path, list_models

FACTS = DatasetInfo(num_ids=5, num_cameras=6, num_attributes=8)
COMPOSITIONS = list_models("sysu/*")


def parts(name: str, device: str, tiny_network):
    config = read_unchecked(config_path(name), tiny_network(config_path(name)))
    model = Build(check_config(config), FACTS).model()
    objective = Build(check_config(config), FACTS).objective(model)
    return model.to(device, memory_format=torch.channels_last), objective.to(device)


def sorted_batch():
    """As the sampler gives it, on the host: visible rows first; a map of 6 rows."""
    batch = tiny_batch(size=(96, 32))
    return batch.select(torch.argsort(batch.modality, stable=True))


def with_clusters(batch: Batch, model: torch.nn.Module, objective: torch.nn.Module) -> Batch:
    """Start an epoch of losses that need clusters; the batch with pseudo labels, or as it is without such losses."""
    losses = [module for module in objective.modules() if getattr(module, "needs_clusters", False)]
    if not losses:
        return batch
    width = model(batch.to(next(model.parameters()).device)).values["features_bn"].shape[1]
    for loss in losses:
        loss.start_epoch(tiny_epoch(batch, width=width))  # type: ignore[operator]
    return replace(batch, labels=cluster_labels(batch))


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_step_without_values_can_be_built(name, tiny_network):
    """The meta device has no values: whatever would wait for a device fails on it."""
    model, objective = parts(name, "meta", tiny_network)
    batch = with_clusters(sorted_batch(), model, objective).to("meta")
    total, terms = objective(batch, model(batch), Progress())
    total.backward()
    assert terms
    assert total.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_step_on_a_gpu_does_not_wait(name, tiny_network):
    model, objective = parts(name, "cuda", tiny_network)
    batch = with_clusters(sorted_batch(), model, objective).to("cuda")

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            out = model(batch)
        total, _ = objective(batch, out, Progress())
        total.backward()
        return total

    step()  # libraries set themselves up
    torch.cuda.set_sync_debug_mode("error")
    try:
        total = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(total)
