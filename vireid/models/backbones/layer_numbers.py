"""Layers of a backbone from input to output, for layer-wise learning rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

INSERT = "_insert"  # end of the names of inserted modules: not a layer of the pretrained network


def block_layers(stage: nn.Module, path: str) -> list[list[str]]:
    """Number the blocks of a stage of a CNN: module paths for each block, in order.

    Modules before the blocks (downsampling of ConvNeXt) belong to the first block, modules after them (final norm,
    `conv_head`) to the last one. Groups of blocks (EfficientNet) are opened. Inserts are left out.

    Args:
        stage: Stage of a network.
        path: Its path, the prefix of the result.

    Example:
        >>> stage = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
        >>> block_layers(stage, "stage1")
        [['stage1.0'], ['stage1.1']]
    """
    children = dict(stage.named_children())
    if "blocks" in children:
        names = list(children)
        place = names.index("blocks")
        layers = block_layers(children["blocks"], f"{path}.blocks")
        layers[0] = [*(f"{path}.{name}" for name in names[:place]), *layers[0]]
        layers[-1] += [f"{path}.{name}" for name in names[place + 1 :]]
        return layers
    layers = []
    for name, child in children.items():
        if name.endswith(INSERT):
            continue
        layers += block_layers(child, f"{path}.{name}") if isinstance(child, nn.Sequential) else [[f"{path}.{name}"]]
    return layers


def cnn_layers(backbone: nn.Module) -> list[list[str]]:
    """Number the layers of a two-stream CNN: the stem (unit 0), then each block of the other units.

    Args:
        backbone: Network as for `in_streams`.
    """
    modules = (backbone.get_submodule("visible"), backbone.get_submodule("shared"))
    (stem, _), *stages = (unit for part in modules for unit in part.named_children())
    return in_streams(backbone, [[stem], *(layer for name, stage in stages for layer in block_layers(stage, name))])


def in_streams(backbone: nn.Module, layers: Iterable[Sequence[str]]) -> list[list[str]]:
    """Prefix the paths of units by the streams that have them: `visible` and `infrared`, or `shared`.

    Args:
        backbone: Network with the modules `visible`, `infrared` and `shared`, each with units by name.
        layers: Paths of each layer, from the name of its unit on.
    """
    streams = {name: dict(backbone.get_submodule(name).named_children()) for name in ("visible", "infrared", "shared")}
    return [
        [f"{stream}.{path}" for path in paths for stream, units in streams.items() if path.split(".", 1)[0] in units]
        for paths in layers
    ]
