"""Export a trained model to ONNX, OpenVINO or torch.export.

The file takes images and their modality and returns L2-normalized embeddings; normalization and mirror images are part
of it. It is compared with the network before it is written. `vireid.load("FILE")` uses it.
"""

from __future__ import annotations

import argparse

from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s runs/mmd --out mmd.onnx --images datasets/demo
  %(prog)s runs/mmd --format openvino --precision fp16 --out mmd.xml
  %(prog)s runs/mmd --precision int8 --calibrate datasets/ours/train --out mmd_int8.onnx --evaluate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid export`."""
    parser.add_argument("model", type=path_argument, metavar="RUN", help="run folder or bundle folder")
    parser.add_argument("--out", type=path_argument, required=True, metavar="FILE", help=".onnx, .xml or .pt2 file")
    parser.add_argument("--format", choices=("onnx", "openvino", "torch"), default="onnx", help="default: onnx")
    parser.add_argument(
        "--input",
        choices=("uint8", "float"),
        default="uint8",
        help="images (B, H, W, 3) uint8, or (B, 3, H, W) float in [0, 1] (default: uint8)",
    )
    parser.add_argument(
        "--modality",
        choices=("both", "visible", "infrared"),
        default="both",
        help="modality as second input, or a graph for one modality (default: both)",
    )
    parser.add_argument("--opset", type=int, metavar="N", help="ONNX operator set (default: the lowest that works)")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="default: fp32")
    parser.add_argument("--calibrate", type=path_argument, metavar="FOLDER", help="images that int8 needs")
    parser.add_argument(
        "--images", type=path_argument, metavar="FOLDER", help="images of the comparison (default: built-in noise)"
    )
    parser.add_argument("--evaluate", action="store_true", help="also evaluate file and network on the run's dataset")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid export` and return its exit code."""
    from vireid.embedder.bundle import read_config
    from vireid.embedder.loading import is_bundle, load, require_run
    from vireid.export.evaluate import evaluate_exported
    from vireid.export.export import export_model

    license = None
    if is_bundle(arguments.model):
        license = read_config(arguments.model)["license"]
    if arguments.evaluate:
        require_run(arguments.model)
    exported = export_model(
        load(arguments.model, device="cpu"),
        arguments.out,
        format=arguments.format,
        pixels=arguments.input,
        modality=arguments.modality,
        opset=arguments.opset,
        precision=arguments.precision,
        calibrate=arguments.calibrate,
        images=arguments.images,
        license=license,
    )
    print(f"{exported.path}: embeddings of {exported.width} values, {exported.size / 1e6:.1f} MB")
    print(f"compared with the network on {exported.parity}")
    if arguments.evaluate:
        for protocol, scores in evaluate_exported(arguments.out, arguments.model, trusted=True).items():
            for metric, before in scores["network"].items():
                after = scores["exported"][metric]
                print(f"{protocol} {metric}: {100 * before:.2f} -> {100 * after:.2f} ({100 * (after - before):+.2f})")
    return 0
