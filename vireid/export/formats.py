"""File formats of an exported graph: ONNX, OpenVINO and torch.export."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from vireid.core.errors import ArgumentError, UserError
from vireid.embedder.exported import EXTRA, IMAGES, KEY, MODALITY, optional_module
from vireid.export.graph import EmbeddingGraph

LOWEST_OPSET = 18  # the exporter of torch writes it without conversion
Content = Mapping[str, Any]


class GraphFile(Protocol):
    """A converted graph that can be written, several times with different metadata."""

    def write(self, file: Path, content: Content) -> None:
        """Write the file with its metadata."""
        ...


class TorchFile:
    """The graph as a file of `torch.export`."""

    def __init__(self, graph: EmbeddingGraph) -> None:
        self.program = graph.program()
        for module in self.program.graph_module.modules():
            for node in getattr(getattr(module, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # names files of this machine

    def write(self, file: Path, content: Content) -> None:
        """See `GraphFile`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No complete tensor found")  # on the CPU it changes nothing
            torch.export.save(self.program, str(file), extra_files={EXTRA: json.dumps(content)})


class OnnxFile:
    """The graph as an ONNX model.

    Args:
        graph: The graph.
        opset: Version of the operator set.

    Raises:
        ArgumentError: If the operator set is too old or too new.
        UserError: If onnx or onnxscript is missing, or an operation cannot be converted.
    """

    def __init__(self, graph: EmbeddingGraph, opset: int = LOWEST_OPSET) -> None:
        onnx = optional_module("onnx")
        optional_module("onnxscript")
        newest = onnx.defs.onnx_opset_version()
        if opset < LOWEST_OPSET:
            raise ArgumentError("opset", f"{opset} is too old; the lowest that works is {LOWEST_OPSET}")
        if opset > newest:
            raise ArgumentError(
                "opset", f"{opset} is too new; the highest of the installed onnx ({onnx.__version__}) is {newest}"
            )
        program = graph.program()
        # Without the rewriting of the exporter: it drops additions of numbers below 1e-8, such as that of GeM pooling.
        try:
            with _quiet():
                exported = torch.onnx.export(
                    program,
                    input_names=[IMAGES, MODALITY][: len(graph.example())],
                    output_names=["embeddings"],
                    opset_version=opset,
                    dynamo=True,
                    optimize=False,
                    verbose=False,
                )
        except Exception as error:  # torch raises exceptions of many types
            line = next(iter(str(error.__cause__ or error).strip().splitlines()), type(error).__name__)
            raise UserError(
                f"the network cannot be converted to ONNX ({line}); use --format torch, or replace this operation"
            ) from error
        assert exported is not None
        optimizer = optional_module("onnxscript.optimizer")
        optimizer.fold_constants(exported.model)
        optimizer.remove_unused_nodes(exported.model)
        self.model = exported.model_proto
        found = next(each.version for each in self.model.opset_import if each.domain in ("", "ai.onnx"))
        if found != opset:
            raise ArgumentError("opset", f"{opset} cannot be written by this version of torch; {found} works")
        for node in self.model.graph.node:
            node.doc_string = ""

    def write(self, file: Path, content: Content) -> None:
        """See `GraphFile`."""
        for values in (self.model.metadata_props, *(node.metadata_props for node in self.model.graph.node)):
            del values[:]  # of the exporter: stack traces with paths of this machine
        onnx = optional_module("onnx")
        onnx.helper.set_model_props(self.model, {KEY: json.dumps(content)})
        onnx.save(self.model, str(file))


class OpenVinoFile:
    """The graph as an OpenVINO model (an .xml file, and a .bin file of the same name with the weights).

    Args:
        model: ONNX model that is converted.
        folder: Folder for a temporary file.
        half: Store the weights as float16.
    """

    def __init__(self, model: OnnxFile, folder: Path, *, half: bool = False) -> None:
        self._openvino = optional_module("openvino")
        file = folder / "graph.onnx"
        model.write(file, {})
        self.model, self._half = self._openvino.convert_model(str(file)), half

    def write(self, file: Path, content: Content) -> None:
        """See `GraphFile`."""
        self.model.set_rt_info(json.dumps(content), [KEY])
        self._openvino.save_model(self.model, str(file), compress_to_fp16=self._half)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress lines and debug warnings of the exporter."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
