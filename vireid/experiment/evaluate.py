"""What a network's descriptors are worth: tables of them, scores between epochs, and the results of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from vireid.core.types import Batch, EmbeddingTable, Progress
from vireid.data.augment.transforms import normalise
from vireid.data.images.image_set import ImageSet
from vireid.data.loading import BatchLoader, sequential_batches
from vireid.engine.environment import Environment
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.extract import extract_features
from vireid.evaluation.flips import with_mirror
from vireid.evaluation.report import Report, format_table
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines
from vireid.runs.metrics import Metrics
from vireid.runs.results import save_features, save_queries, save_rankings


def normalised(batch: Batch) -> Batch:
    """The batch as evaluation sees it: nothing but normalised."""
    return batch.with_images(normalise(batch.images))


@dataclass(frozen=True)
class Check:
    """What is measured between epochs: on which images, by which protocols, and which score of the first counts."""

    images: ImageSet
    evaluators: Mapping[str, Evaluator]
    score: str


@dataclass(frozen=True, kw_only=True)
class EvaluationRunner:
    """Describes images with the processes of `environment` together, `batch` at a time, and scores them.

    The first process scores, writes into `folder` and prints; all get what it found.
    """

    environment: Environment
    folder: RunFolder
    log: JsonLines
    batch: int = 64

    def table(
        self,
        model: nn.Module,
        images: ImageSet,
        conditions: Mapping[str, str] | None = None,
        *,
        flips: str = "none",
        rows: Sequence[int] | None = None,
        prepare: Callable[[Batch], Batch] = normalised,
    ) -> EmbeddingTable:
        """Descriptors of all images, each embedded once; processes share the batches, all get the table.

        `rows`: of these images alone, ascending. `prepare`: from a batch of the loader to what the model takes.
        """
        model.eval()
        environment, describe = self.environment, model.embed
        rows = range(len(images.samples)) if rows is None else rows
        batches = [[rows[i] for i in batch] for batch in sequential_batches(len(rows), self.batch)]
        batches = batches[environment.rank :: environment.world] or batches[:1]  # nobody may have nothing to do
        table = extract_features(
            describe if flips == "none" else with_mirror(describe),  # type: ignore[arg-type]
            BatchLoader(images.samples, images.images, batches, pin=environment.device.type == "cuda"),
            device=environment.device,
            autocast=environment.autocast,
            prepare=prepare,
            gather=environment.gather,
            conditions=conditions,
            unit=model.normalize and flips != "sum",  # type: ignore[arg-type]
        )
        samples = [images.samples[row] for row in rows]
        return replace(table, samples=samples, camera_names=images.camera_names)

    def results(
        self,
        table: EmbeddingTable,
        evaluators: Mapping[str, Evaluator],
        *,
        features: bool = True,
        inputs: Mapping[str, Any] | None = None,
    ) -> dict[str, Report]:
        """Score every protocol, write the results (`features`: the descriptors, too) and print them.

        `inputs`: `RunInputs.to_json` of this evaluation, with those of the training under "trained_on"; the results
        carry them, so that results of other inputs are noticed when they are compared.
        """
        listing = str(
            (inputs or {}).get("test_images", "")
        )  # without attributes: methods with and without are compared

        def work() -> dict[str, Report]:
            reports = {name: evaluator(table) for name, evaluator in evaluators.items()}
            assert table.samples is not None
            save_rankings(self.folder.rankings, evaluators, table, table.samples)
            save_queries(self.folder.queries, reports, table, listing=listing)
            if features:
                save_features(self.folder.features, table)
            elif self.folder.features.exists():
                self.folder.features.unlink()  # of an earlier evaluation, perhaps of other images
            Metrics(reports, self.environment.describe(), inputs).write(self.folder.metrics)
            means: dict[str, Any] = {name: report.means for name, report in reports.items()}
            self.log("result", checkpoint=table.conditions["checkpoint"], **means)
            print(format_table(reports))
            print(f"results: {self.folder.metrics}")
            return reports

        return self.environment.from_main(work)

    def between_epochs(self, model: nn.Module, check: Check, progress: Progress) -> float:
        """The score that counts, of the first protocol; logged, printed, not a result."""
        table = self.table(model, check.images)

        def work() -> float:
            scores = {name: evaluator(table).means for name, evaluator in check.evaluators.items()}
            for name, mean in scores.items():
                self.log("evaluation", epoch=progress.epoch, step=progress.step, protocol=name, **mean)
                print(f"    {name}: rank-1 {100 * mean['rank1']:.1f}  mAP {100 * mean['mAP']:.1f}")
            return next(iter(scores.values()))[check.score]

        return self.environment.from_main(work)
