"""Lower precision of an ONNX model: float16 and 8-bit integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vireid.embedder.exported import IMAGES, MODALITY, optional_module
from vireid.export.formats import OnnxFile

HALF_OPERATIONS = frozenset({"Conv", "BatchNormalization", "Relu", "Add", "MaxPool", "AveragePool"})
_SCOPE = "pkg.torch.onnx.name_scopes"  # of a node: the modules that it was made of


def to_float16(file: OnnxFile) -> None:
    """Convert the convolutions of the backbone and what stands between them to float16, in place.

    Pool, heads and products of non-local blocks stay in float32, as in a training with bfloat16: their sums overflow in
    float16. The weights of the convolutions need half of the space.
    """
    float16 = optional_module("onnxruntime.transformers.float16")
    kept = []
    for number, node in enumerate(file.model.graph.node):
        node.name = node.name or f"node_{number}"
        scope = {each.key: each.value for each in node.metadata_props}.get(_SCOPE, "")
        if node.op_type not in HALF_OPERATIONS or "network.backbone" not in scope:
            kept.append(node.name)
    file.model = float16.convert_float_to_float16(file.model, keep_io_types=True, node_block_list=kept)


def to_int8(file: OnnxFile, inputs: Sequence[dict[str, np.ndarray]], folder: Path) -> None:
    """Quantize the convolutions to 8-bit integers, in place, with the value ranges of calibration images.

    Weights have one scale for each output channel and 7 bits, because sums of 8-bit products saturate on processors
    without VNNI.

    Args:
        file: The model.
        inputs: Inputs of the graph for the calibration, one batch each.
        folder: Folder for temporary files.
    """
    quantization = optional_module("onnxruntime.quantization")
    preprocess = optional_module("onnxruntime.quantization.shape_inference").quant_pre_process
    source, prepared, target = (folder / f"{name}.onnx" for name in ("float", "prepared", "int8"))
    file.write(source, {})
    preprocess(str(source), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(target),
        _Reader(iter(inputs)),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    file.model = optional_module("onnx").load(str(target))


class _Reader:
    """Calibration data in the form that onnxruntime reads."""

    def __init__(self, inputs: Iterator[dict[str, np.ndarray]]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def calibration_inputs(pixels: np.ndarray, *, pixel_type: str, modality: str) -> list[dict[str, np.ndarray]]:
    """Inputs of a graph for each image, with both modalities if the graph has both: (N, H, W, 3) uint8."""
    images = pixels if pixel_type == "uint8" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
    if modality != "both":
        return [{IMAGES: image[None]} for image in images]
    return [{IMAGES: image[None], MODALITY: np.full(1, kind, np.int64)} for image in images for kind in (0, 1)]
