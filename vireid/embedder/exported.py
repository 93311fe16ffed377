"""Exported model: an ONNX, OpenVINO or torch.export file that computes embeddings without the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import vireid
from vireid.core.errors import ArgumentError, UserError
from vireid.core.types import Batch, EmbeddingTable, Modality
from vireid.embedder.bundle import description_of
from vireid.embedder.embedder import Embedder
from vireid.evaluation.extract import extract_features
from vireid.models.cross_modality_net import CrossModalityNet

FORMAT = 1
KEY = "vireid"  # of the metadata of a file: its content as JSON
EXTRA = "vireid.json"  # the same in a torch.export file
IMAGES, MODALITY = "images", "modality"  # names of the inputs
Run = Callable[[dict[str, np.ndarray]], np.ndarray]


def optional_module(name: str) -> Any:
    """Import a module of `vireid[export]`; UserError with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UserError(
            f'{package} is not installed, and exported models need it: pip install "vireid[export]"'
        ) from error


def open_onnx(file: Path, cuda: bool) -> tuple[str | None, Run]:
    """Open an ONNX file with ONNX Runtime: its metadata and the function of its inputs."""
    runtime = optional_module("onnxruntime")
    provider = "CUDAExecutionProvider" if cuda else "CPUExecutionProvider"
    if provider not in runtime.get_available_providers():
        raise UserError(
            f"{file}: device is 'cuda', but this onnxruntime computes on the CPU only; install onnxruntime-gpu, or set"
            " the device cpu"
        )
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(file), options, providers=[provider])
    return session.get_modelmeta().custom_metadata_map.get(KEY), lambda inputs: session.run(None, inputs)[0]


def open_openvino(file: Path, cuda: bool) -> tuple[str | None, Run]:
    """Open an OpenVINO file: its metadata and the function of its inputs."""
    openvino = optional_module("openvino")
    _refuse_cuda(file, cuda, "OpenVINO")
    core = openvino.Core()
    model = core.read_model(str(file))
    values = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", values)
    content = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
    return content, lambda inputs: compiled(inputs)[0]


def open_torch(file: Path, cuda: bool) -> tuple[str | None, Run]:
    """Open a torch.export file: its metadata and the function of its inputs.

    torch unpickles parts of such a file, which can execute code: `load_exported` opens those that the caller trusts.
    """
    _refuse_cuda(file, cuda, "a torch.export file")
    extra = {EXTRA: ""}
    module = torch.export.load(str(file), extra_files=extra).module()

    def run(inputs: dict[str, np.ndarray]) -> np.ndarray:
        return module(*(torch.from_numpy(value) for value in inputs.values())).numpy()

    return extra[EXTRA] or None, run


OPENERS = {".onnx": open_onnx, ".xml": open_openvino, ".pt2": open_torch}  # suffix -> function


def is_exported(path: Path) -> bool:
    """Whether a path has the suffix of an exported model."""
    return path.suffix.lower() in OPENERS and not path.is_dir()


class ExportedModel:
    """Embeddings computed by an exported file; a `PixelModel`.

    Args:
        file: File of `vireid export`.
        cuda: Compute on a CUDA device (ONNX with onnxruntime-gpu).

    Raises:
        UserError: If the file does not exist, is damaged, was not written by vireid or has another format.
    """

    def __init__(self, file: Path, *, cuda: bool = False) -> None:
        if not file.is_file():
            raise UserError(f"{file}: does not exist; `vireid export RUN --out {file.name}` writes it")
        try:
            text, self._run = OPENERS[file.suffix.lower()](file, cuda)
        except UserError:
            raise
        except Exception as error:  # the runtimes raise exceptions of many types
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{file}: cannot be opened ({line}); export it again") from error
        self.file = file
        self.device = torch.device("cuda" if cuda else "cpu")
        self.content = _content(file, text)
        self.description = description_of(file, self.content)
        self.fingerprint = str(self.content["fingerprint"])
        self.width = int(self.content["embedding"]["width"])
        self._pixels, self._modality = self.content["export"]["pixels"], self.content["export"]["modality"]

    @property
    def network(self) -> CrossModalityNet:
        """An exported file has no network: raises UserError."""
        raise UserError(f"{self.file}: is an exported file without a network; use the run or the bundle it was made of")

    def embed(self, batches: Iterable[Batch]) -> EmbeddingTable:
        """See `PixelModel`."""
        return extract_features(self._embed, batches)

    def _embed(self, batch: Batch) -> Tensor:
        images = batch.images.permute(0, 2, 3, 1).contiguous()
        if self._pixels == "float":
            images = batch.images.contiguous().float() / 255
        inputs = {IMAGES: images.numpy()}
        if self._modality == "both":
            inputs[MODALITY] = batch.modality.numpy()
        else:
            self._check(batch.modality)
        return torch.from_numpy(np.ascontiguousarray(self._run(inputs)))

    def _check(self, modality: Tensor) -> None:
        if (modality != Modality[self._modality.upper()]).any():
            raise ArgumentError(
                "modality",
                f"must be {self._modality!r}, because {self.file} was exported for these images only; export it with"
                " --modality both",
            )


def require_trusted(file: Path, trusted: bool) -> None:
    """Require that the caller trusts the author of a file that can execute code.

    Raises:
        UserError: For a .pt2 file that is not trusted.
    """
    if file.suffix.lower() == ".pt2" and file.is_file() and not trusted:
        raise UserError(
            f"{file}: PyTorch unpickles parts of a .pt2 file, which can execute code of its author; if you trust the"
            " author, pass trusted=True, otherwise use an .onnx or .xml file"
        )


def load_exported(file: Path, *, device: str, precision: str | None, batch: int, trusted: bool) -> Embedder:
    """Load an exported file as an embedder; see `vireid.load`."""
    require_trusted(file, trusted)
    if precision not in (None, "auto"):
        raise UserError(
            f"{file}: precision is {precision!r}, but the precision of an exported file is chosen when it is written:"
            " vireid export --precision"
        )
    model = ExportedModel(file, cuda=device == "cuda")
    return Embedder(model, model.description, batch=batch)


def _content(file: Path, text: str | None) -> Mapping[str, Any]:
    try:
        content = json.loads(text or "")
        number, version = content["format"], content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: has no metadata of vireid; `vireid export RUN --out FILE` writes a file that can be loaded"
        ) from error
    if number != FORMAT:
        raise UserError(
            f"{file}: is an exported model of format {number!r}, written by vireid {version}; this version"
            f" ({vireid.__version__}) reads format {FORMAT}: install a matching version"
        )
    try:
        _ = content["export"]["pixels"], content["export"]["modality"], content["embedding"]["width"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{file}: its metadata is damaged: {error} is missing; export it again") from error
    return content


def _refuse_cuda(file: Path, cuda: bool, runtime: str) -> None:
    if cuda:
        raise UserError(f"{file}: {runtime} computes on the CPU; set the device cpu, or export --format onnx")
