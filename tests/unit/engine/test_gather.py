"""Two processes with half a batch each against one with the whole, for values and gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow  # starts two processes

SCRIPT = """
import sys
import torch
from torch import nn
from vireid.core.types import ModelOutput, Progress
from vireid.engine.distributed import Environment
from vireid.engine.launch import launch, report_errors_once
from vireid.engine.trainer import StepModule
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.mmd import MarginMMD
from vireid.losses.objective import Objective, Term
from vireid.losses.triplet import BatchHardTriplet
from vireid.testing import tiny_batch

class Net(nn.Module):
    # no BatchNorm, whose statistics are those of a process; three rows of features for each image
    def __init__(self):
        super().__init__()
        self.embed, self.classify = nn.Linear(3, 8), nn.Linear(8, 5)

    def forward(self, batch):
        pixels = batch.images.mean(dim=(2, 3))
        features = torch.cat([self.embed(pixels * k) for k in (1.0, 2.0, 3.0)])
        source = torch.arange(len(batch)).repeat(3)
        return ModelOutput({"features": features, "logits": self.classify(features), "unread": features}, source)

class Weighted(nn.Module):
    # a loss with parameters of its own
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, features, labels):
        return BatchHardTriplet(margin=5.0)(features * self.scale, labels)

def main(count):
    with report_errors_once():
        if launch(count, __file__, None) is not None:
            return
        environment = Environment(device="cpu", precision="float32")
        torch.manual_seed(0)
        net = Net()
        terms = {"id": Term(IdentityCrossEntropy()), "triplet": Term(Weighted()), "mmd": Term(MarginMMD(), weight=0.5)}
        objective = Objective(terms, provided=["features", "logits", "labels", "modality"])
        step = StepModule(net, objective, environment, gather=True)
        wrapped = environment.accelerator.prepare(step) if environment.world > 1 else step
        batch = tiny_batch()
        batch = batch.select(torch.argsort(batch.labels, stable=True))
        half = len(batch) // environment.world
        batch = batch.select(torch.arange(environment.rank * half, (environment.rank + 1) * half))
        total, terms = wrapped(batch, Progress())
        total.backward()
        if environment.is_main:
            gradients = {name: parameter.grad for name, parameter in step.named_parameters()}
            torch.save({"total": total.detach(), **terms, **gradients}, sys.argv[2])

if __name__ == "__main__":
    main(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gather")
    (folder / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(folder / "script.py"), "2", str(folder / "2.pt")]
    subprocess.run(command, env=environment, check=True, timeout=300)
    argv, sys.argv = sys.argv, ["script.py", "1", str(folder / "1.pt")]
    try:
        with torch.random.fork_rng():
            exec(compile(SCRIPT, "script.py", "exec"), {"__name__": "__main__", "__file__": str(folder / "script.py")})
    finally:
        sys.argv = argv
    return [torch.load(folder / f"{count}.pt", weights_only=True) for count in (1, 2)]


def test_losses_are_those_of_the_whole_batch(results):
    one, two = results
    for name in ("total", "id", "triplet", "mmd"):
        torch.testing.assert_close(two[name], one[name], rtol=1e-6, atol=1e-6)


def test_gradients_are_those_of_the_whole_batch(results):
    one, two = results
    names = [name for name in one if name.startswith(("model.", "objective."))]
    assert len(names) == 5
    for name in names:
        assert one[name].abs().max() > 1e-4
        torch.testing.assert_close(
            two[name], one[name], rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
