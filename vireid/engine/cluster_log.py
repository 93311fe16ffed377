"""Record of the pseudo labels of each epoch: clusters, outliers and their agreement with the true identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vireid.clustering.quality import adjusted_mutual_information, adjusted_rand_index, purity
from vireid.core.io import replaced_file
from vireid.core.pseudo_labels import OUTLIER, PseudoLabels
from vireid.core.types import Modality
from vireid.engine.callbacks import Callback
from vireid.engine.epoch_start import LabelRecord
from vireid.engine.trainer import Trainer
from vireid.runs.log import LABELS, JsonLines


class ClusterLog(Callback):
    """Write a record of the pseudo labels of each epoch to the log and print it; store the labels.

    True identities are compared with the labels after these were made. Nothing here reaches the training.

    Args:
        log: The log file.
        path: File of the newest labels (`labels.npz`: epoch, labels, modality). It is a record and is never read by a
            training.
        identities: True identity of each training image, -1 where it is unknown.
        modality: Modality of each training image.
        say: Prints a line.
    """

    def __init__(
        self,
        log: JsonLines,
        path: Path,
        identities: Sequence[int],
        modality: Sequence[int],
        *,
        say: Callable[[str], None] = print,
    ) -> None:
        self.log, self.path, self.say = log, path, say
        self.identities, self.modality = np.asarray(identities), np.asarray(modality)

    def on_labels(self, trainer: Trainer, record: LabelRecord) -> None:
        if not trainer.environment.is_main:
            return
        epoch = trainer.progress.epoch + 1
        values = cluster_values(record.labels, self.identities, self.modality)
        position = {"epoch": epoch, "step": trainer.progress.step}
        self.log(LABELS, **position, **values, **record.values, seconds=round(record.seconds, 2))
        with replaced_file(self.path) as file:
            np.savez_compressed(file, epoch=epoch, labels=record.labels.labels, modality=self.modality)
        self.say(f"epoch {epoch}: {labels_text(values)}{reports_text(record.values)}  ({record.seconds:.1f} s)")


def cluster_values(labels: PseudoLabels, identities: np.ndarray, modality: np.ndarray) -> dict[str, float]:
    """Numbers of clusters and outliers of each modality, and the agreement of clusters with identities.

    Agreement is measured over the images of clusters: adjusted Rand index (`ari`), adjusted mutual information (`ami`)
    and purity. It is left out where identities are unknown or a modality has no cluster.

    Args:
        labels: The pseudo labels.
        identities: (N,) true identities, -1 where unknown.
        modality: (N,) modality.

    Returns:
        Values by name, such as "visible/clusters".
    """
    values: dict[str, float] = {}
    for each, clusters in ((Modality.VISIBLE, labels.visible_clusters), (Modality.INFRARED, labels.infrared_clusters)):
        name, rows = each.name.lower(), modality == each
        clustered = rows & (labels.labels != OUTLIER)
        values[f"{name}/clusters"] = clusters
        values[f"{name}/outliers"] = int(rows.sum() - clustered.sum())
        measured = clustered & (identities >= 0)
        if measured.any():
            found, true = labels.labels[measured], identities[measured]
            values[f"{name}/ari"] = adjusted_rand_index(found, true)
            values[f"{name}/ami"] = adjusted_mutual_information(found, true)
            values[f"{name}/purity"] = purity(found, true)
    return values


def labels_text(values: dict[str, float]) -> str:
    """Format `cluster_values` in one line.

    >>> labels_text({"visible/clusters": 40, "visible/outliers": 3, "visible/ari": 0.5})
    'visible 40 clusters, 3 outliers, ARI 0.500'
    """
    texts = []
    for modality in Modality:
        name = modality.name.lower()
        if f"{name}/clusters" in values:
            agreement = f", ARI {values[f'{name}/ari']:.3f}" if f"{name}/ari" in values else ""
            counts = f"{values[f'{name}/clusters']:.0f} clusters, {values[f'{name}/outliers']:.0f} outliers"
            texts.append(f"{name} {counts}{agreement}")
    return "; ".join(texts)


def reports_text(values: object) -> str:
    """Format what losses report, each number after its name.

    >>> reports_text({"matched": 12})
    '; matched 12'
    """
    assert isinstance(values, dict)
    return "".join(f"; {name} {value:g}" for name, value in values.items())
