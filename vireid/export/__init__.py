"""Export of trained models to ONNX, OpenVINO and torch.export."""

from vireid.export.evaluate import evaluate_exported
from vireid.export.export import ExportedFile, export_model
from vireid.export.parity import Parity

__all__ = [
    "ExportedFile",
    "Parity",
    "evaluate_exported",
    "export_model",
]
