"""Layer-wise learning-rate decay, and parameters without weight decay."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from vireid.core.errors import ConfigError, Problem
from vireid.core.interfaces import HasLayers

KEY = "SOLVER.LAYER_DECAY"


def layer_scales(model: nn.Module, decay: float) -> dict[str, float]:
    """Factor of the learning rate of each layer of the backbone, by module path: decay^(layers - number).

    Layers count from 0 at the input, so that the last layer has `decay`. Other paths have factor 1: new modules of the
    backbone (inserts), heads, adapter and losses.

    Args:
        model: Network with a `backbone` that declares its layers (`HasLayers`).
        decay: Factor from one layer to the one before it, in (0, 1].

    Raises:
        ConfigError: If the backbone does not declare its layers.

    Source:
        Bao et al., "BEiT: BERT Pre-Training of Image Transformers", ICLR 2022; for ViT the factors of timm.
    """
    backbone = model.get_submodule("backbone")
    if not isinstance(backbone, HasLayers):
        text = f"= {decay:g}, but {type(backbone).__name__} does not number its layers; set it to null"
        raise ConfigError([Problem(text, key=KEY)])
    layers = backbone.layers()
    return {
        f"backbone.{path}": decay ** (len(layers) - number) for number, paths in enumerate(layers) for path in paths
    }


def longest_path(name: str, paths: Iterable[str]) -> str | None:
    """The longest of the module paths that a parameter lies under; None without one.

    >>> longest_path("backbone.stem.weight", ["backbone", "backbone.stem", "back"])
    'backbone.stem'
    """
    return max((path for path in paths if name == path or name.startswith(f"{path}.")), key=len, default=None)


def without_decay(model: nn.Module, objective: nn.Module) -> set[str]:
    """Names of the parameters that usually have no weight decay; those of the objective start with "objective.".

    These are the tensors with at most one dimension (biases, norms), and those that a module lists in `no_decay`: last
    names of parameters under it (class tokens, positions).
    """
    found: set[str] = set()
    for prefix, root in (("", model), ("objective.", objective)):
        found |= {f"{prefix}{name}" for name, parameter in root.named_parameters() if parameter.dim() <= 1}
        for path, module in root.named_modules():
            names = getattr(module, "no_decay", frozenset())
            start = f"{prefix}{path}." if path else prefix
            found |= {f"{start}{name}" for name, _ in module.named_parameters() if name.rpartition(".")[2] in names}
    return found
