"""Named parts that stop learning at an epoch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from vireid.engine.optim import check_paths, part_at, trainable


class Freezing:
    """Parts of a network and its objective that are fixed once they have learned for a number of epochs.

    `epochs` maps a module path, as in SOLVER.LR_SCALE, to that number. A frozen part has no gradients, so that the
    optimizer leaves it alone, weight decay and momentum included, and its batch normalisations keep their statistics
    and use them. What is frozen is a function of the epoch: a resumed run has nothing to remember.
    Errors: ConfigError for paths under which nothing learns, and numbers below 0.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, epochs: Mapping[str, int]) -> None:
        check_paths("SOLVER.FREEZE", epochs, trainable(model, objective))
        self._epochs = dict(epochs)
        self._parts = {path: part_at(model, objective, path) for path in epochs}
        self._frozen: set[str] = set()

    def apply(self, epoch: int) -> bool:
        """Freeze what has learned for its epochs when `epoch` of them are finished; whether that is something new."""
        due = {path for path, first in self._epochs.items() if epoch >= first}
        new = due - self._frozen
        self._frozen = due
        for path in new:
            self._parts[path].requires_grad_(False)
        return bool(new)

    def keep_still(self) -> None:
        """Frozen batch normalisations into evaluation, after `train()` put them into training."""
        for path in self._frozen:
            part = self._parts[path]
            for module in part.modules() if isinstance(part, nn.Module) else ():
                if getattr(module, "track_running_stats", False):
                    module.eval()
