"""Create timm networks by name and load their weights strictly."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, CheckpointError, nearest
from vireid.core.paths import normalized_path
from vireid.core.weight_files import NamedTensors, best_mapping, read_mappings
from vireid.models.backbones.timm_layouts import renamed_by_timm

log = logging.getLogger(__name__)

_NORMALIZATION = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}


def create(arch: str, *, pretrained: bool = False, weights: str | None = None, **options: Any) -> nn.Module:
    """Create a timm network without its classifier and load its weights.

    Args:
        arch: Name of a timm model, optionally with a tag.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file to load instead (safetensors, or a torch file that contains tensors only).
        options: Constructor arguments of the timm model.

    Raises:
        ValueError: If timm does not know the name (with the closest known name), or the model has no such option.
        CheckpointError: If weights are not available or do not fit.
    """
    pretrained = pretrained and weights is None
    if ":" in arch or not timm.is_model(arch):
        raise ArgumentError("arch", f"{arch!r} is not a timm model{nearest(arch, timm.list_models())}")
    name, _, tag = arch.partition(".")
    tagged = [known for known in timm.list_pretrained(f"{name}.*") or timm.list_pretrained(name) if known != name]
    if tag and arch not in tagged:
        known = _listed(tagged) or "none"
        raise ArgumentError("arch", f"{arch!r}: timm has no such weights{nearest(arch, tagged)} (of {name}: {known})")
    try:
        model = timm.create_model(arch, pretrained=pretrained, num_classes=0, **options)
    except Exception as error:  # network libraries raise exceptions of many types
        if not pretrained:
            _check_options(arch, options, error)
            raise
        text = (
            f"the pretrained weights of {arch} cannot be downloaded: {_first_line(error)}; set WEIGHTS to a local file"
        )
        raise CheckpointError(text) from error
    if weights is not None:
        load_weights(model, normalized_path(weights))
    if pretrained or weights is not None:
        _warn_of_normalization(model, arch)
    return model


def _warn_of_normalization(model: nn.Module, arch: str) -> None:
    """Log a warning if the weights of a network were trained on images of another normalization than ImageNet's."""
    settings: Any = model.pretrained_cfg
    mean, std = (tuple(settings.get(key) or default) for key, default in _NORMALIZATION.items())
    if (mean, std) != (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD):
        log.warning(
            "the weights of %s were trained on images of mean %s and std %s; here images are normalized by mean %s and"
            " std %s (ImageNet)",
            *(arch, mean, std, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
        )


def in_modules(arch: str, modules: Iterable[str]) -> bool:
    """Whether a timm model is defined in one of these modules of timm ("vision_transformer")."""
    return timm.models.is_model_in_modules(arch, list(modules))


def require_timm(oldest: tuple[int, int, int], arch: str) -> None:
    """Raise ArgumentError if the installed timm is older than a network needs."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", timm.__version__)[:3])
    if numbers < oldest:
        needed = ".".join(map(str, oldest))
        text = f"{arch!r} needs timm {needed} or newer, and {timm.__version__} is installed"
        raise ArgumentError("arch", f"{text}; run pip install 'timm>={needed}'")


def _check_options(arch: str, options: Mapping[str, Any], error: Exception) -> None:
    """Raise ArgumentError if the constructor refused an option by its name."""
    names = {"drop_path_rate": "drop_path"}
    for option in options:
        if isinstance(error, TypeError) and f"'{option}'" in str(error):
            text = f"is not possible with {arch!r}: timm's network has no {option}; leave it at 0"
            raise ArgumentError(names.get(option, option.removesuffix("_rate")), text) from error


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights of a timm network from a local file, strictly.

    Every tensor of the network must be in the file with its shape, and every tensor of the file must be in the
    network. Exceptions: the classifier of the file (fc.* of a ResNet) is left out, and batch counters that are missing
    in files of early torch versions start at 0, as in torch.

    The mapping of the file that fits best is read ("state_dict", "model", ...), and a prefix that all of its names
    have ("module.encoder_q.") is removed. A one-line warning reports both. A file that does not fit is renamed by the
    filter of timm for the layouts of other codes (`timm_layouts`), and then has to fit without resizing.

    Args:
        model: Network to fill.
        path: File of weights.

    Raises:
        CheckpointError: If the file cannot be read or does not fit, with all names.
    """
    mappings = read_mappings(path)
    tensors, mismatches, changes = _fitted(model, mappings)
    if any(mismatches.values()):
        for renamed, resized in renamed_by_timm(mappings, model):
            foreign = _fitted(model, [renamed])
            if any(foreign[1].values()):
                continue
            if resized:
                mismatches = {"of another image size or patch size than this network": resized}
                continue
            tensors, mismatches, _ = foreign
            changes = "read in the layout of another code, renamed by timm"
            break
    if any(mismatches.values()):
        texts = [f"\n    {kind}: {_listed(names)}" for kind, names in mismatches.items() if names]
        note = f" ({changes})" if changes else ""
        raise CheckpointError(f"{path} does not fit the backbone{note}:{''.join(texts)}")
    if changes:
        log.warning("%s: %s", path, changes)
    model.load_state_dict(tensors, strict=False)


def _fitted(model: nn.Module, mappings: Sequence[NamedTensors]) -> tuple[dict[str, Tensor], dict[str, list[str]], str]:
    """Choose the mapping that fits best, without a prefix and the classifier.

    Returns:
        The tensors, what keeps them from being loaded (kind -> names), and the changes of their names in words.
    """
    expected = model.state_dict()
    renamed, changes = best_mapping(mappings, expected)
    classifier = model.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr]
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    tensors = {
        name: value
        for name, value in renamed.tensors.items()
        if name in expected or not any(name.startswith(f"{head}.") for head in heads)
    }
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    mismatches = {
        "missing": sorted(set(expected) - set(tensors) - counters),
        "not of this network": sorted(set(tensors) - set(expected)),
        "of another shape": [
            f"{name} {tuple(value.shape)}, expected {tuple(expected[name].shape)}"
            for name, value in tensors.items()
            if name in expected and value.shape != expected[name].shape
        ],
    }
    return tensors, mismatches, changes


def _listed(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
