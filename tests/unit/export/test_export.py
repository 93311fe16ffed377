"""Export of a trained model: formats, precisions, metadata, and files that are loaded as embedders."""

from __future__ import annotations

import copy
import importlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import vireid
from vireid.core.errors import ArgumentError, UserError
from vireid.embedder import exported as exported_files
from vireid.export import export as exporting
from vireid.export import export_model
from vireid.export.formats import LOWEST_OPSET, OnnxFile
from vireid.export.graph import EmbeddingGraph
from vireid.export.parity import noise_images

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}


@pytest.fixture(scope="module")
def onnx_file(embedder, tmp_path_factory) -> Path:
    return export_model(embedder, tmp_path_factory.mktemp("onnx") / "model.onnx", license="MIT").path


@pytest.fixture(scope="module")
def converted(embedder) -> OnnxFile:
    return OnnxFile(EmbeddingGraph(embedder.network, embedder.description, pixels="uint8", modality="both"))


@pytest.fixture
def shared_conversion(converted, monkeypatch) -> None:
    """Convert the embedder to ONNX, which takes seconds, once for all tests; each gets a copy of the model."""
    monkeypatch.setattr(exporting, "OnnxFile", lambda graph, opset: copy.deepcopy(converted))


@pytest.mark.parametrize("format", ["openvino", "torch"])
def test_other_formats_have_the_embeddings_of_the_network(format, embedder, pictures, tmp_path, shared_conversion):
    exported = export_model(embedder, tmp_path / f"model{SUFFIXES[format]}", format=format)
    assert exported.parity.cosine_min > 1 - 1e-6
    loaded = vireid.load(exported.path, batch=2, trusted=True)
    for modality in ("visible", "infrared"):
        found, expected = (each(pictures, modality=modality) for each in (loaded, embedder))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (loaded.width, loaded.fingerprint) == (embedder.width, embedder.fingerprint)
    expected_files = {"model.xml", "model.bin"} if format == "openvino" else {"model.pt2"}
    assert {path.name for path in tmp_path.iterdir()} == expected_files
    assert exported.size == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_file_is_an_embedder(onnx_file, embedder, pictures):
    loaded = vireid.load(onnx_file, batch=2)
    assert isinstance(loaded, vireid.Embedder)
    assert (loaded.width, loaded.fingerprint) == (embedder.width, embedder.fingerprint)
    assert loaded.description.training == embedder.description.training
    queries, gallery = loaded(pictures[:2], modality="infrared"), loaded(pictures, modality="visible")
    np.testing.assert_allclose(queries, embedder(pictures[:2], modality="infrared"), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(
        loaded.rank(queries, gallery, k=3).ids,
        embedder.rank(embedder(pictures[:2], modality="infrared"), embedder(pictures, modality="visible"), k=3).ids,
    )
    assert loaded.similarity(queries, gallery).shape == (2, 5)
    boxes, frame = [[0, 0, 20, 40], [5, 5, 32, 64]], pictures[0]
    found, expected = (each.crops(frame, boxes, modality="auto") for each in (loaded, embedder))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert loaded([], modality="visible").shape == (0, embedder.width)
    with pytest.raises(UserError, match="is an exported file without a network; use the run or the bundle"):
        _ = loaded.network


def test_a_file_is_loaded_without_building_a_network(onnx_file, pictures, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a network was built")

    monkeypatch.setattr("vireid.embedder.bundle.build_network", refuse)
    monkeypatch.setattr("vireid.models.cross_modality_net.CrossModalityNet.__init__", refuse)
    assert len(vireid.load(onnx_file)(pictures, modality="visible")) == 5


def test_the_metadata_state_what_the_model_is(onnx_file, embedder):
    import onnx

    model = onnx.load(onnx_file)
    content = json.loads(next(each.value for each in model.metadata_props if each.key == "vireid"))
    assert (content["format"], content["version"], content["license"]) == (1, vireid.__version__, "MIT")
    assert content["preprocessing"]["size"] == [96, 32]
    assert (content["preprocessing"]["flips"], content["fingerprint"]) == ("unit", embedder.fingerprint)
    assert content["training"] == {"data": "SYSU", "num_ids": 4}
    facts = content["export"]
    assert {name: facts[name] for name in ("format", "pixels", "modality", "precision", "opset")} == {
        "format": "onnx",
        "pixels": "uint8",
        "modality": "both",
        "precision": "fp32",
        "opset": LOWEST_OPSET,
    }
    assert (facts["parity"]["images"], facts["parity"]["source"]) == (8, "built-in noise")
    assert facts["parity"]["cosine_min"] > 0.9999
    assert [each.version for each in model.opset_import if not each.domain] == [LOWEST_OPSET]
    assert [(each.name, each.type.tensor_type.shape.dim[0].dim_param != "") for each in model.graph.input] == [
        ("images", True),
        ("modality", True),
    ]


def test_one_modality_takes_float_images_and_refuses_the_other(embedder, pictures, folder, tmp_path):
    file = tmp_path / "infrared.pt2"
    result = export_model(embedder, file, format="torch", pixels="float", modality="infrared", images=folder)
    assert (result.parity.images, result.parity.source) == (5, "given images")
    loaded = vireid.load(file, trusted=True)
    expected = embedder(pictures, modality="infrared")
    np.testing.assert_allclose(loaded(pictures, modality="infrared"), expected, rtol=0, atol=1e-5)
    with pytest.raises(ArgumentError, match=r"modality must be 'infrared', because .* for these images only"):
        loaded(pictures, modality="visible")


def test_no_file_names_a_path_of_this_machine(onnx_file, embedder, tmp_path):
    with zipfile.ZipFile(export_model(embedder, tmp_path / "model.pt2", format="torch").path) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    source = str(Path(vireid.__file__).parent).encode()
    assert not any(source in content for content in (onnx_file.read_bytes(), *contents))


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_lower_precisions_are_smaller_and_report_their_cosine(
    format, embedder, folder, pictures, tmp_path, shared_conversion
):
    changes = {"fp32": {}, "fp16": {}, "int8": {"calibrate": folder}}
    results = {
        precision: export_model(
            embedder,
            tmp_path / f"{precision}{SUFFIXES[format]}",
            format=format,
            precision=precision,
            **more,  # type: ignore[arg-type]
        )
        for precision, more in changes.items()
    }
    errors = {name: 1 - result.parity.cosine_min for name, result in results.items()}
    assert errors["fp32"] < errors["fp16"] < 1e-4 < errors["int8"] < 0.05
    assert max(results["fp16"].size, results["int8"].size) < results["fp32"].size
    assert results["int8"].parity.source == "calibration images"
    prints = {name: vireid.load(result.path).fingerprint for name, result in results.items()}
    assert prints["fp32"] == prints["fp16"] == embedder.fingerprint != prints["int8"]
    assert len(vireid.load(results["int8"].path)(pictures, modality="infrared")) == 5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"format": "onx"}, "format must be one of onnx, openvino, torch, got 'onx'; did you mean 'onnx'"),
        ({"format": "torch"}, r"file of the format 'torch' must end with \.pt2, got model\.onnx"),
        ({"pixels": "int8"}, "pixels must be one of uint8, float, got 'int8'; did you mean 'uint8'"),
        ({"precision": "int8"}, "calibrate must name a folder of images with precision 'int8'"),
        ({"calibrate": "photos"}, "calibrate is used with precision 'int8' only"),
        ({"opset": 11}, f"opset 11 is too old; the lowest that works is {LOWEST_OPSET}"),
        ({"opset": 99}, r"opset 99 is too new; the highest of the installed onnx"),
        ({"images": "nowhere"}, r"images .*nowhere: is not a folder with images"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(words, text, embedder, tmp_path):
    with pytest.raises(UserError, match=text):
        export_model(embedder, tmp_path / "model.onnx", **words)
    assert not any(tmp_path.iterdir())


def test_a_file_that_differs_is_not_written(embedder, tmp_path, monkeypatch):
    def other(graph, *_, **__):
        graph.scale.mul_(0.2)
        return converted(graph, *_, **__)

    converted = exporting._convert
    monkeypatch.setattr(exporting, "_convert", other)
    before = tmp_path / "model.pt2"
    before.write_bytes(b"earlier")
    with pytest.raises(UserError, match=r"model\.pt2: was not written, because its embeddings differ .* at least 0.99"):
        export_model(embedder, before, format="torch")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
    assert before.read_bytes() == b"earlier"


def test_damaged_and_foreign_files_are_refused(onnx_file, tmp_path):
    import onnx

    with pytest.raises(UserError, match=r"gone\.onnx: does not exist; `vireid export RUN --out gone\.onnx` writes it"):
        vireid.load(tmp_path / "gone.onnx")
    for suffix in SUFFIXES.values():
        (tmp_path / f"cut{suffix}").write_bytes(onnx_file.read_bytes()[:999])
        with pytest.raises(UserError, match=r"cut.*: cannot be opened \(.*\); export it again"):
            vireid.load(tmp_path / f"cut{suffix}", trusted=True)
    model = onnx.load(onnx_file)
    (entry,) = model.metadata_props
    content = json.loads(entry.value)
    entry.value = json.dumps({**content, "format": 7})
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(UserError, match=r"is an exported model of format 7, written by vireid .* reads format 1"):
        vireid.load(tmp_path / "new.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(UserError, match="has no metadata of vireid"):
        vireid.load(tmp_path / "foreign.onnx")
    with pytest.raises(UserError, match="precision of an exported file is chosen when it is written"):
        vireid.load(onnx_file, precision="bf16")
    with pytest.raises(UserError, match=r"device is 'cuda', but this onnxruntime computes on the CPU only|CUDA"):
        vireid.load(onnx_file, device="cuda")


def test_a_missing_library_is_named(onnx_file, embedder, tmp_path, monkeypatch):
    def missing(name: str):
        raise ImportError(name)

    monkeypatch.setattr(exported_files, "import_module", missing)
    for call in (lambda: vireid.load(onnx_file), lambda: export_model(embedder, tmp_path / "model.onnx")):
        with pytest.raises(UserError, match=r'is not installed.*pip install "vireid\[export\]"'):
            call()
    assert importlib.import_module("onnx")


def test_the_noise_is_deterministic_and_uses_all_levels():
    images = noise_images((64, 32))
    np.testing.assert_array_equal(images, noise_images((64, 32)))
    assert images.shape == (8, 64, 32, 3)
    assert images.min() < 40
    assert images.max() > 215
