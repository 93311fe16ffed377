"""Evaluate an exported file on the test images of its run, next to the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.paths import normalized_path
from vireid.data.loading import BatchLoader, sequential_batches
from vireid.embedder.exported import ExportedModel, require_trusted
from vireid.embedder.loading import load, require_run
from vireid.embedder.pixel_model import PixelModel
from vireid.engine.distributed import Environment
from vireid.experiment.experiment import Experiment
from vireid.runs.folder import RunFolder

Scores = dict[str, Mapping[str, float]]


def evaluate_exported(
    file: str | Path, run: str | Path, *, batch: int = 64, trusted: bool = False
) -> dict[str, Scores]:
    """Evaluate an exported file and the network of its run by the protocols of the run, on its test images.

    Both embeddings are L2-normalized and computed on the CPU, the network in float32.

    Args:
        file: File of `export_model`; it must embed both modalities.
        run: Run folder that the file was made of, with its dataset.
        batch: Images in a batch.
        trusted: Open a .pt2 file, as for `vireid.load`.

    Returns:
        {protocol: {"network": scores, "exported": scores}}, scores in [0, 1] by metric. Nothing is written.

    Raises:
        UserError: If the file is of another run or for one modality only.
        DataError: If the dataset cannot be read.
    """
    require_trusted(normalized_path(file), trusted)
    model, folder = ExportedModel(normalized_path(file)), normalized_path(run)
    require_run(folder)
    embedder = load(folder, device="cpu", precision="float32")
    facts = model.content["export"]
    if facts.get("exported_from", model.fingerprint) != embedder.fingerprint:
        raise UserError(f"{model.file}: was not exported from {folder}: the fingerprints differ; name its run")
    if facts["modality"] != "both":
        raise UserError(f"{model.file}: embeds {facts['modality']} images only; export it with --modality both")
    settings = {"OUTPUT_DIR": str(folder), "WEIGHTS": None, "DEVICE": "cpu"}
    experiment = Experiment.from_config(RunFolder(folder).config, settings)
    environment = Environment(device="cpu", precision="float32")
    images = experiment.data.test(experiment.data.listing(environment), environment)
    rows = sequential_batches(len(images.samples), batch)
    evaluators = experiment.build.evaluators()

    def scores(of: PixelModel) -> Scores:
        table = of.embed(BatchLoader(images.samples, images.images, rows))
        table = replace(table, samples=images.samples, camera_names=images.camera_names)
        return {name: dict(evaluator(table).means) for name, evaluator in evaluators.items()}

    of_network, of_file = scores(embedder.model), scores(model)
    return {name: {"network": of_network[name], "exported": of_file[name]} for name in of_network}
