"""One run from a config: `Experiment.from_config(path).train()` and `.evaluate()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from vireid.config import show, sources
from vireid.config.build import Build
from vireid.config.check import check_config, load_checked
from vireid.config.checked import CheckedConfig
from vireid.config.load import Config
from vireid.config.validate import heldout_notes, protocol_notes, require_evaluations
from vireid.core.errors import CheckpointError, ConfigError, DataError
from vireid.core.interfaces import Dataset, Identified
from vireid.core.paths import normalized_path
from vireid.core.rng import seeded
from vireid.core.types import Batch, DatasetInfo, EmbeddingTable, Sample
from vireid.data.heldout import hold_out, relabelled
from vireid.data.images.cache import open_images
from vireid.data.images.image_set import ImageSet, TrainingBatches
from vireid.data.listing import camera_names_of, list_dataset, require_listing
from vireid.data.loading import BatchLoader
from vireid.engine.checkpoint import CheckpointFolder, TrainerState, load_model, stored_ids, stored_inputs
from vireid.engine.compiling import compile_faults, compile_for_training, require_compiler
from vireid.engine.environment import Environment
from vireid.engine.optim import parameter_groups
from vireid.engine.trainer import Trainer, place
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.report import Report
from vireid.experiment.evaluate import Check, EvaluationRunner
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.runs.folder import RunFolder
from vireid.runs.inputs import NOT_RECORDED, RunInputs
from vireid.runs.listing_record import ListingRecord
from vireid.runs.log import JsonLines, TensorBoard

_INIT_SEED = 0  # key under which initial weights are drawn


class Experiment:
    """A checked config and what follows from it.

    Every fault of the config is reported together (ConfigError) when the experiment is made, before any image is read.
    Results are in `OUTPUT_DIR`: `config.yml` (all values resolved), `log.jsonl`, `tensorboard/`, `checkpoints/`,
    `metrics.json`, `rankings.npz`, `queries.npz`, `features.npz`.

    In a process of several (torchrun, accelerate launch, `tools/train_net.py --num-gpus N`) everything here is called
    in each of them: they share the work, the first one writes and prints, and all return the same reports.
    """

    def __init__(self, config: Config | CheckedConfig) -> None:
        self.checked = config if isinstance(config, CheckedConfig) else check_config(config)
        self.build = Build(self.checked)
        self.config = self.checked.config
        self.folder = RunFolder(normalized_path(self.config.OUTPUT_DIR))

    @classmethod
    def from_config(cls, path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> Experiment:
        """Read a YAML file; `overrides` is `["KEY", "VALUE", ...]` as on the command line, or a mapping."""
        return cls(load_checked(path, overrides))

    # -- what a user calls ---------------------------------------------------------------------------------------

    def train(self, *, resume: bool = False) -> dict[str, Report]:
        """Train, evaluate the checkpoint that counts and return one report for each protocol.

        A folder that already holds a run is refused unless `resume`; with `resume` and nothing to continue the run
        starts from the beginning. Resuming with another config is an error that names the keys.
        """
        config, build, environment = self.config, self.build, self._environment()
        require_evaluations(build)
        continued = resume and bool(self._checkpoints().epochs())  # then WEIGHTS are not read again
        if config.WEIGHTS and not continued and not normalized_path(config.WEIGHTS).exists():
            raise CheckpointError(f"WEIGHTS: {normalized_path(config.WEIGHTS)} does not exist")
        if config.COMPILE:
            require_compiler(environment.device)
        dataset, facts = self._dataset()
        self._report_left_out(dataset, environment)
        test_samples, names = self._test_samples(dataset, environment), camera_names_of(dataset)
        samples = dataset.train()
        rows, held_rows = hold_out(samples, identities=config.HELDOUT_IDENTITIES, seed=config.SEED)
        held_samples = [samples[row] for row in held_rows]
        self._print(environment, heldout_notes(build, held_samples, names))
        inputs = sources.run_inputs(self.checked, samples, test_samples)
        with self.folder.claimed(environment.is_main):
            environment.from_main(lambda: self._prepare(resume, inputs))
            people = relabelled([samples[row] for row in rows])
            begun, known = environment.from_main(self._begun) if resume else (False, True)
            model, objective = self._parts(facts, pretrained=not begun)
            model.validate(test_samples)
            sampler = build.sampler(people, environment.rank, environment.world)
            images, test = self._images(samples, environment), self._images(test_samples, environment, names)
            training, held = images.part(rows, people), images.part(held_rows, held_samples)
            check, log = self._check(held, test), self._log()
            measuring = self._measuring(environment, log)
            pin, views = environment.device.type == "cuda", build.views()
            loader = BatchLoader(training.samples, training.images, sampler, pin=pin, views=views)
            trainer = Trainer(
                model=model,
                objective=objective,
                optimizer=build.optimizer(parameter_groups(model, objective, build.lr_scale())),
                schedule=build.lr_schedule(),
                batches=TrainingBatches(loader, sampler),
                augment=build.augment(),
                environment=environment,
                checkpoints=self._checkpoints(inputs if known else None),
                log=log,
                epochs=build.epochs(),
                seed=config.SEED,
                facts=self._identity(facts),
                clip_norm=config.CLIP_NORM,
                checkpoint_every=config.CHECKPOINT_EVERY,
                log_every=config.LOG_EVERY,
                ema=config.EMA,
                gather_features=config.GATHER_FEATURES,
                evaluate=lambda net, progress: measuring.between_epochs(net, check, progress),
                evaluate_every=config.EVALUATE_EVERY,
                select=config.SELECT,
                extract_training=lambda view, epoch: self._training_table(model, training, measuring, view, epoch),
                samples=people,
                freeze=build.freeze(),
            )
            if not (resume and trainer.resume()) and config.WEIGHTS:
                load_model(normalized_path(config.WEIGHTS), model, self._data())
            if config.COMPILE:
                compile_for_training(model.backbone)
            with compile_faults():
                trainer.fit()
            chosen = trainer.chosen_epoch()
            if chosen != trainer.progress.epoch:
                load_model(self._checkpoints().path(chosen), trainer.retrieving)
            selection = self._selection(chosen, trainer.best, config.EMA)
            trained_on = inputs.to_json() if known else None
            return self._evaluate(trainer.retrieving, test, measuring, selection, inputs, trained_on)

    def evaluate(self) -> dict[str, Report]:
        """Evaluate the checkpoint of the run that counts, or WEIGHTS (a checkpoint folder or a .safetensors file)."""
        environment = self._environment()
        dataset, facts = self._dataset()
        self._report_left_out(dataset, environment)
        test_samples = self._test_samples(dataset, environment)
        inputs = sources.run_inputs(self.checked, dataset.train(), test_samples)
        model, selection, path = self._network(environment, facts)
        trained_on = stored_inputs(path)
        changed = inputs.training_changes(trained_on or {}, ListingRecord.read(self.folder.listing), files=False)
        if environment.is_main and changed:
            print(f"since this checkpoint was trained: {'; '.join(changed)}")
        model.validate(test_samples)
        test = self._images(test_samples, environment, camera_names_of(dataset))
        measuring = self._measuring(environment, self._log())
        return self._evaluate(model, test, measuring, selection, inputs, trained_on)

    def deployed(self) -> tuple[CrossModalityNet, str, Environment]:
        """The network that `evaluate` would evaluate, how its checkpoint came to count, and where it computes.

        For use far from the training data: the number of identities is read from the checkpoint.
        """
        environment = self._environment()
        known = self._checkpoints().epochs()
        newest = self._checkpoints().path(known[-1] if known else 0)
        path = normalized_path(self.config.WEIGHTS) if self.config.WEIGHTS else newest
        facts = self.build.info
        facts = replace(facts, num_ids=stored_ids(path) or facts.num_ids)
        model, selection, _ = self._network(environment, facts)
        return model.eval(), selection, environment

    def network(self) -> CrossModalityNet:
        """The network that `evaluate` would evaluate, in evaluation mode."""
        _, facts = self._dataset()
        return self._network(self._environment(), facts)[0].eval()

    def test_samples(self) -> Sequence[Sample]:
        """The test images in the order of the rows of `features.npz`."""
        return self._dataset()[0].test()

    # -- parts ---------------------------------------------------------------------------------------------------

    def _environment(self) -> Environment:
        return Environment(device=self.config.DEVICE, precision=self.config.PRECISION)

    def _dataset(self) -> tuple[Dataset, DatasetInfo]:
        """The data set, after every fault of the listing of both splits was reported; no image is opened.

        The facts are those of the people who are trained on.
        """
        dataset, held = self.build.dataset(), self.config.HELDOUT_IDENTITIES
        require_listing(dataset)
        facts = dataset.facts()
        if held >= facts.num_ids:
            raise DataError(f"HELDOUT_IDENTITIES = {held}, but the training set has only {facts.num_ids} identities")
        return dataset, replace(facts, num_ids=facts.num_ids - held)

    def _report_left_out(self, dataset: Dataset, environment: Environment) -> None:
        """Print how many files of the dataset folder are not used and why; tools/check_data.py lists them."""
        if environment.is_main and (text := list_dataset(dataset).left_out.summary()):
            print(f"{text} (tools/check_data.py lists them)", flush=True)

    def inputs(self) -> RunInputs:
        """What a run of this config would be made from now: listings, plug-ins and files. Opens no image.

        Raises DataError where the dataset cannot be listed.
        """
        dataset, _ = self._dataset()
        return sources.run_inputs(self.checked, dataset.train(), dataset.test())

    def _prepare(self, resume: bool, inputs: RunInputs) -> None:
        text, epochs = show.resolved_text(self.checked), self._checkpoints().epochs()

        def differences(old: str) -> list[str]:
            for change in show.named_changes(old, self.config):
                print(f"resuming with another setting: {change}")
            return show.differences(old, self.checked)

        self.folder.prepare(
            text,
            resume=resume,
            differences=differences,
            input_changes=lambda: self._input_changes(epochs, inputs),
        )
        inputs.training.write(self.folder.listing)

    def _begun(self) -> tuple[bool, bool]:
        """Whether there is a checkpoint to continue from, and whether it is known what it was trained on."""
        checkpoints = self._checkpoints()
        return bool(checkpoints.epochs()), not checkpoints.epochs() or checkpoints.stored_inputs() is not None

    def _input_changes(self, epochs: Sequence[int], inputs: RunInputs) -> list[str]:
        """What keeps the run in the folder from being continued, beside its config."""
        wanted, done, found = self.build.epochs(), epochs[-1], []
        if wanted < done:
            found.append(
                f"it has finished {done} epochs and SOLVER.EPOCHS is {wanted}; set it to {done} or more"
                " (--eval-only evaluates the run as it is)"
            )
        stored = self._checkpoints().stored_inputs()
        if stored is None:
            print(f"{self.folder.root}: {NOT_RECORDED}")
            return found
        listing = ListingRecord.read(self.folder.listing)
        changed = inputs.training_changes(stored, listing, compared=lambda key: not show.may_change(key))
        return found + changed + (inputs.test_changes(stored) if self.config.SELECT == "test" else [])

    def _log(self) -> JsonLines:
        """Where the first process records what happens."""
        return JsonLines(
            self.folder.log, also=TensorBoard(self.folder.tensorboard) if self.config.TENSORBOARD else None
        )

    def _check(self, held: ImageSet, test: ImageSet) -> Check:
        """The people held out of training where there are any, and otherwise the protocols on the test set."""
        if held.samples:
            return Check(held, {"heldout": self.build.heldout_evaluator()}, "mAP")
        return Check(test, self.build.evaluators(), "rank1")

    def _test_samples(self, dataset: Dataset, environment: Environment) -> Sequence[Sample]:
        """The test images, after every protocol found in them what it needs; no image is opened."""
        samples = dataset.test()
        self._print(environment, protocol_notes(self.build, samples, camera_names_of(dataset)))
        return samples

    @staticmethod
    def _print(environment: Environment, notes: Sequence[str]) -> None:
        """Print notes about the listing in the main process."""
        if environment.is_main:
            for note in notes:
                print(f"note: {note}")

    def _parts(self, facts: DatasetInfo, *, pretrained: bool) -> tuple[CrossModalityNet, Objective]:
        """Network and objective; initial weights are a function of SEED (and of PRETRAINED where it is wanted)."""
        with seeded(self.config.SEED, _INIT_SEED):
            build = self.build.with_info(facts)
            model = build.model(weights=pretrained)
            return model, build.objective(model)

    def _images(
        self, samples: Sequence[Sample], environment: Environment, camera_names: Mapping[int, str] | None = None
    ) -> ImageSet:
        """The images of a list, from the cache; one process decodes, the others wait for it."""
        with environment.accelerator.main_process_first():
            size, folder = tuple(self.config.SIZE), normalized_path(self.config.CACHE_DIR)
            images = open_images(samples, size=size, folder=folder, depth=self.build.depth())
        return ImageSet(samples, images, camera_names or {})

    def _checkpoints(self, inputs: RunInputs | None = None) -> CheckpointFolder:
        stored = None if inputs is None else inputs.to_json()
        return CheckpointFolder(self.folder.checkpoints, keep=self.config.KEEP_CHECKPOINTS, inputs=stored)

    def _identity(self, facts: DatasetInfo) -> dict[str, Any]:
        """What a checkpoint must agree in to belong to this run."""
        return {**self._data(), "num_ids": facts.num_ids}

    def _data(self) -> dict[str, Any]:
        """Name and, where it has several, split of the data set."""
        dataset = self.build.dataset()
        return {"data": self.config.DATA.NAME, **(dataset.checkpoint_key if isinstance(dataset, Identified) else {})}

    def _selection(self, epoch: int, best: Mapping[str, Any], ema: float) -> str:
        """How the checkpoint came to count, as results say it."""
        held = self.config.HELDOUT_IDENTITIES
        averaged = f", average of the weights (decay {ema:g})" if ema else ""
        if not best:
            return f"last epoch ({epoch}){averaged}"
        people = f"mAP on {held} training identities held out of training" if held else "rank-1 on the test set"
        return f"best {people} (epoch {epoch}){averaged}"

    def _chosen_checkpoint(self, model: CrossModalityNet, objective: Objective, facts: DatasetInfo) -> tuple[Path, str]:
        checkpoints = self._checkpoints()
        newest = checkpoints.newest(self._identity(facts))
        if newest is None:
            raise CheckpointError(
                f"{self.folder.root}: holds no checkpoint to evaluate; train first, or name one with WEIGHTS"
            )
        state: TrainerState = checkpoints.load(newest, model, objective)
        epoch = int(state.best["epoch"]) if state.best else newest
        return checkpoints.path(epoch), self._selection(epoch, state.best, state.ema)

    def _network(self, environment: Environment, facts: DatasetInfo) -> tuple[CrossModalityNet, str, Path]:
        """The network with the weights of the run that count, or WEIGHTS, how these came to count, and their path."""
        model, objective = self._parts(facts, pretrained=False)
        if self.config.WEIGHTS:
            path, selection = normalized_path(self.config.WEIGHTS), f"given ({self.config.WEIGHTS})"
        else:
            path, selection = self._chosen_checkpoint(model, objective, facts)
        load_model(path, model, self._data())
        place(model, environment.device)
        return model, selection, path

    # -- evaluation ----------------------------------------------------------------------------------------------

    def _measuring(self, environment: Environment, log: JsonLines) -> EvaluationRunner:
        return EvaluationRunner(environment=environment, folder=self.folder, log=log, batch=self.config.TEST_BATCH)

    def _training_table(
        self, model: nn.Module, training: ImageSet, measuring: EvaluationRunner, view: int, epoch: int
    ) -> EmbeddingTable:
        """Descriptors of the training set as evaluation sees it, or of those of its images that have another view.

        A view is drawn from (SEED, epoch, the first image of the batch), whatever the number of processes.
        """
        if not view:
            return measuring.table(model, training)
        modality, augment = self.build.view(view)
        rows = [row for row, sample in enumerate(training.samples) if modality in (None, sample.modality)]

        def prepare(batch: Batch) -> Batch:
            return augment(batch, epoch=epoch, step=int(batch.index[0]))

        return measuring.table(model, training, rows=rows, prepare=prepare)

    def _evaluate(
        self,
        model: nn.Module,
        test: ImageSet,
        measuring: EvaluationRunner,
        selection: str,
        inputs: RunInputs,
        trained_on: Mapping[str, Any] | None,
    ) -> dict[str, Report]:
        """Score every protocol from one table of descriptors, write the results and print them."""
        evaluators: Mapping[str, Evaluator] = self.build.evaluators()
        if not evaluators:
            raise ConfigError(["EVALUATION is empty: name at least one protocol"])
        conditions = {
            **{key: str(value) for key, value in self._data().items()},
            "feature": "+".join(self.config.MODEL.EMBEDDING),
            "checkpoint": selection,
            "precision": measuring.environment.precision,
            "seed": str(self.config.SEED),
            **model.conditions,  # type: ignore[dict-item]
        }
        if (depth := self.build.depth()) is not None:
            conditions["depth"] = str(depth)
        flips = self.config.FLIP_TEST
        if flips != "none":
            conditions["flipped_images"] = f"added ({flips})"
        table = measuring.table(model, test, conditions, flips=flips)
        stored = {**inputs.to_json(), "trained_on": trained_on}
        return measuring.results(table, evaluators, features=self.config.SAVE_FEATURES, inputs=stored)
