"""Weight files of other codes (DINOv2, OpenAI CLIP, DeiT, Swin), renamed by timm's own filter of a network."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from vireid.core.weight_files import NamedTensors

# tensors that the filters of timm resize if they do not fit
RESIZED = ("pos_embed", "patch_embed.proj.weight", "relative_position_bias_table")


def renamed_by_timm(mappings: Sequence[NamedTensors], model: nn.Module) -> Iterator[tuple[NamedTensors, list[str]]]:
    """Rename the tensors of a file by the `checkpoint_filter_fn` of the timm module of a network.

    Args:
        mappings: Mappings of names to tensors in the file.
        model: Network of timm, at the native size.

    Yields:
        The renamed tensors, and the names of those that the filter resized to fit the network.
    """
    rename = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if rename is None:
        return
    variants = [{}, *({name: True} for name in inspect.signature(rename).parameters if name == "adapt_layer_scale")]
    for mapping in mappings:
        for options in variants:
            try:
                renamed = rename(dict(mapping.tensors), model, **options)
            except Exception:  # filters raise exceptions of many types for files of other networks
                continue
            tensors = {name: value for name, value in renamed.items() if isinstance(value, Tensor)}
            yield NamedTensors(mapping.place, tensors), list(_resized(tensors, mapping.tensors))


def _resized(renamed: dict[str, Tensor], source: dict[str, Tensor]) -> Iterator[str]:
    """Names of tensors whose values are not the last values of a tensor of the file (prefix tokens may be cut off)."""
    for name, value in renamed.items():
        if not name.endswith(RESIZED):
            continue
        values = value.flatten()
        if not any(
            other.numel() >= values.numel() and other.flatten()[-values.numel() :].equal(values)
            for other in source.values()
        ):
            yield name
