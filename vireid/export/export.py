"""Export a trained model to ONNX, OpenVINO or torch.export, and check the file against the network."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vireid.core.errors import ArgumentError, UserError, nearest
from vireid.core.io import TEMPORARY
from vireid.core.paths import normalized_path
from vireid.embedder.bundle import model_content
from vireid.embedder.embedder import Embedder
from vireid.embedder.exported import FORMAT, ExportedModel
from vireid.export.formats import LOWEST_OPSET, GraphFile, OnnxFile, OpenVinoFile, TorchFile
from vireid.export.graph import EmbeddingGraph, ModalityInput, Pixels
from vireid.export.parity import NOISE, Parity, folder_images, measure_parity, noise_images, require_parity
from vireid.export.precision import calibration_inputs, to_float16, to_int8

Format = Literal["onnx", "openvino", "torch"]
Precision = Literal["fp32", "fp16", "int8"]
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
CHOICES = {
    "format": tuple(SUFFIXES),
    "pixels": ("uint8", "float"),
    "modality": ("both", "visible", "infrared"),
    "precision": ("fp32", "fp16", "int8"),
}


@dataclass(frozen=True)
class ExportedFile:
    """An exported file.

    Args:
        path: The file; an OpenVINO file has its weights in a .bin file of the same name.
        size: Bytes of all files.
        width: Width of an embedding.
        parity: Differences from the network.
    """

    path: Path
    size: int
    width: int
    parity: Parity


def export_model(
    embedder: Embedder,
    file: str | Path,
    *,
    format: Format = "onnx",
    pixels: Pixels = "uint8",
    modality: ModalityInput = "both",
    opset: int | None = None,
    precision: Precision = "fp32",
    calibrate: str | Path | None = None,
    images: str | Path | None = None,
    license: str | None = None,
) -> ExportedFile:
    """Export a model to a file that computes the embeddings of this embedder without the network.

    The graph contains normalization, mirror images (FLIP_TEST) and L2 normalization, and takes batches of any size. The
    file is compared with the network in float32 and written by an atomic rename; if the embeddings differ, it is not
    written.

    Args:
        embedder: The model (`vireid.load`).
        file: File to write: .onnx, .xml (and a .bin file) or .pt2.
        format: "onnx", "openvino" or "torch" (`torch.export`).
        pixels: Input images: "uint8" (B, H, W, 3), or "float" (B, 3, H, W) in [0, 1].
        modality: "both": a second input is the modality of each image (B,), 0 visible and 1 infrared; the first,
            modality-specific units are computed twice. "visible" or "infrared": a graph for one modality.
        opset: ONNX operator set; None: the lowest that works.
        precision: "fp32"; "fp16": convolutions (ONNX) or stored weights (OpenVINO); "int8": convolutions.
        calibrate: Folder of images that "int8" needs: value ranges are measured on up to 64 of them.
        images: Folder of images for the comparison; None: `calibrate`, or built-in noise.
        license: License of the weights; None: not stated.

    Returns:
        The file and the result of the comparison.

    Raises:
        ArgumentError: If an argument is unknown or does not fit the others.
        UserError: If a library is missing, the network cannot be exported, or the embeddings differ.

    Example:
        export_model(vireid.load("runs/mmd"), "mmd.onnx", images="datasets/ours/test")
    """
    _check(format=format, pixels=pixels, modality=modality, precision=precision)
    target = normalized_path(file)
    if target.suffix.lower() != SUFFIXES[format]:
        raise ArgumentError("file", f"of the format {format!r} must end with {SUFFIXES[format]}, got {target.name}")
    if opset is not None and format != "onnx":
        raise ArgumentError("opset", f"belongs to the format 'onnx' only, got {opset} with {format!r}; leave it out")
    if precision != "fp32" and format == "torch":
        raise ArgumentError("precision", f"{precision!r} is not available for 'torch'; use the format onnx or openvino")
    if precision == "int8" and calibrate is None:
        raise ArgumentError("calibrate", "must name a folder of images with precision 'int8': it measures value ranges")
    if precision != "int8" and calibrate is not None:
        raise ArgumentError("calibrate", f"is used with precision 'int8' only, got precision {precision!r}")
    described = embedder.description
    shown, source = _comparison_images(embedder, images, calibrate)
    ranges = None
    if calibrate is not None:
        ranges = folder_images(normalized_path(calibrate), described, parameter="calibrate")
    graph = EmbeddingGraph(embedder.network, described, pixels=pixels, modality=modality)
    content = {**model_content(embedder, license=license), "format": FORMAT}
    facts: dict[str, Any] = {
        "format": format,
        "pixels": pixels,
        "modality": modality,
        "precision": precision,
        "batch": "dynamic",
    }
    if format == "onnx":
        facts["opset"] = opset or LOWEST_OPSET
    if ranges is not None:
        facts |= {"calibration_images": len(ranges), "exported_from": content["fingerprint"]}
        content |= {"fingerprint": _quantized_fingerprint(content["fingerprint"], ranges), "decision": None}
    content["export"] = facts
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=target.parent) as name:
        work, aside = Path(name), Path(name) / "result"
        aside.mkdir()
        converted = _convert(graph, work, format=format, opset=opset, precision=precision, ranges=ranges)
        converted.write(aside / target.name, content)
        parity = measure_parity(
            ExportedModel(aside / target.name), graph.network, described, shown, modality=modality, source=source
        )
        require_parity(parity, precision, target)
        facts["parity"] = parity.to_json()
        converted.write(aside / target.name, content)
        size = _replace(aside, target)
    return ExportedFile(target, size, embedder.width, parity)


def _convert(
    graph: EmbeddingGraph,
    folder: Path,
    *,
    format: Format,
    opset: int | None,
    precision: Precision,
    ranges: np.ndarray | None,
) -> GraphFile:
    if format == "torch":
        return TorchFile(graph)
    onnx = OnnxFile(graph, opset or LOWEST_OPSET)
    if ranges is not None:
        to_int8(onnx, calibration_inputs(ranges, pixel_type=graph.pixels, modality=graph.modality), folder)
    if format == "openvino":
        return OpenVinoFile(onnx, folder, half=precision == "fp16")
    if precision == "fp16":
        to_float16(onnx)
    return onnx


def _comparison_images(
    embedder: Embedder, images: str | Path | None, calibrate: str | Path | None
) -> tuple[np.ndarray, str]:
    """The images of the comparison, and where they are from."""
    described = embedder.description
    if images is not None:
        return folder_images(normalized_path(images), described, parameter="images"), "given images"
    if calibrate is not None:
        return folder_images(normalized_path(calibrate), described, parameter="calibrate"), "calibration images"
    return noise_images(described.size), NOISE


def _quantized_fingerprint(fingerprint: str, ranges: np.ndarray) -> str:
    """Embeddings of a quantized model must not be mixed with those of the network."""
    return hashlib.sha256(f"{fingerprint} int8 ".encode() + ranges.tobytes()).hexdigest()


def _replace(folder: Path, target: Path) -> int:
    """Move the files of a folder to the folder of the target, the target itself last; return their bytes."""
    files = sorted(folder.iterdir(), key=lambda path: path.name == target.name)
    size = sum(path.stat().st_size for path in files)
    try:
        for path in files:
            os.replace(path, target.with_name(path.name))
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error}); name another file") from error
    return size


def _check(**values: Any) -> None:
    choices: Mapping[str, tuple[str, ...]] = CHOICES
    for name, value in values.items():
        if value not in choices[name]:
            text = f"must be one of {', '.join(choices[name])}, got {value!r}{nearest(str(value), choices[name])}"
            raise ArgumentError(name, text)
