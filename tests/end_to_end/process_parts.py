"""Components for the tests of several processes; a run imports them with IMPORTS [process_parts]."""

import os
import signal
from pathlib import Path

import torch
from torch import Tensor, nn

from vireid.core.errors import DataError
from vireid.core.registries import HEADS, LOSSES


def raise_user_error() -> None:
    """Fail as for a fault in the data."""
    raise DataError("rank 1 fails")


def raise_bug() -> None:
    """Fail as for a fault in the code."""
    raise RuntimeError("rank 1 fails")


def kill() -> None:
    """End like a process that the system kills for its memory."""
    os.kill(os.getpid(), signal.SIGKILL)


FAILURES = {"user": raise_user_error, "bug": raise_bug, "kill": kill}


@LOSSES.register
class FailingLoss(nn.Module):
    """Zero, until rank 1 fails in its second training step."""

    def __init__(self, *, failure: str) -> None:
        super().__init__()
        self.failure, self.calls = failure, 0

    def forward(self, features: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 3 and os.environ.get("RANK") == "1":  # the first call checks the model before the training
            FAILURES[self.failure]()
        return features.sum() * 0


@LOSSES.register
class IndexRecorder(nn.Module):
    """Zero; appends the dataset indices of each batch to the file `rank_N` of a folder."""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def forward(self, features: Tensor, index: Tensor) -> Tensor:
        with (Path(self.folder) / f"rank_{os.environ['RANK']}").open("a") as file:
            file.write(" ".join(map(str, index.tolist())) + "\n")
        return features.sum() * 0


@HEADS.register
class UnusedHead(nn.Module):
    """A head whose output no loss reads."""

    provides = frozenset({"features_att"})

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, 2)
        self.dims = {"features_att": 2}

    def forward(self, pooled: Tensor) -> dict[str, torch.Tensor]:
        return {"features_att": self.layer(pooled)}
