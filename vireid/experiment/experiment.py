"""One run of a configuration: training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from vireid.config import show, sources
from vireid.config.build import Build
from vireid.config.check import check_config, load_checked
from vireid.config.checked import CheckedConfig
from vireid.config.load import Config
from vireid.config.validate import heldout_notes, require_evaluations
from vireid.core.errors import CheckpointError, ConfigError
from vireid.core.interfaces import Identified, TestsOnePart
from vireid.core.paths import normalized_path
from vireid.core.rng import seeded
from vireid.core.types import DatasetInfo, EmbeddingTable, Sample
from vireid.data.heldout import hold_out
from vireid.data.images.image_set import ImageSet, TrainingBatches
from vireid.data.loading import BatchLoader
from vireid.engine.callbacks import Callback
from vireid.engine.checkpoint import CheckpointFolder, TrainerState, load_model
from vireid.engine.compiling import compile_faults, compile_for_training, require_compiler
from vireid.engine.distributed import Environment
from vireid.engine.optim import parameter_groups
from vireid.engine.trainer import Trainer, place
from vireid.engine.weights_origin import cross_dataset, data_text, kept_in_training, stored_ids, stored_inputs
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.report import Report
from vireid.experiment.callbacks import between_epochs, run_callbacks
from vireid.experiment.data import RunData, print_notes
from vireid.experiment.evaluate import EvaluationRunner, TrainingEmbeddings, uses_channels
from vireid.experiment.heldout import require_not_trained_on, require_same_dataset
from vireid.experiment.resume import prepare_folder, stored_run
from vireid.losses.objective import Objective
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.runs.folder import RunFolder
from vireid.runs.inputs import RunInputs
from vireid.runs.listing_record import ListingRecord
from vireid.runs.log import JsonLines, TensorBoard

_INIT_SEED = 0  # key of the generator of the initial weights


class Experiment:
    """A run of a checked configuration.

    Results are in `OUTPUT_DIR`: `config.yml` (all values resolved), `log.jsonl`, `tensorboard/`, `checkpoints/`,
    `metrics.json`, `rankings.npz`, `queries.npz`, `features.npz`.

    With several processes (torchrun, accelerate launch, `vireid train --num-gpus N`) every method is called in each of
    them. The processes share the work, the main process writes and prints, and all return the same reports.

    Args:
        config: The configuration.

    Raises:
        ConfigError: With all problems of the configuration, before any file of the dataset is opened.
    """

    def __init__(self, config: Config | CheckedConfig) -> None:
        self.checked = config if isinstance(config, CheckedConfig) else check_config(config)
        self.build = Build(self.checked)
        self.data = RunData(self.build)
        self.config = self.checked.config
        self.folder = RunFolder(normalized_path(self.config.OUTPUT_DIR))

    @classmethod
    def from_config(cls, path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> Experiment:
        """Read a config file.

        Args:
            path: A YAML file.
            overrides: `["KEY", "VALUE", ...]` as on the command line, or a mapping.
        """
        return cls(load_checked(path, overrides))

    # -- public ----------------------------------------------------------------------------------------------------

    def train(self, *, resume: bool = False) -> dict[str, Report]:
        """Train, evaluate the selected checkpoint and return one report for each protocol.

        Args:
            resume: Continue the run in the folder if there is one. Without it, a folder with a run is refused.

        Raises:
            UserError: If the folder holds a run, or with what prevents it from being continued.
            DataError: With all faults of the dataset.
        """
        config, build, environment = self.config, self.build, self._environment()
        callbacks = self._require_before_reading(environment, resume)
        listing = self.data.listing(environment)
        samples = listing.dataset.train()
        rows, held_rows = hold_out(samples, identities=config.HELDOUT_IDENTITIES, seed=config.SEED)
        held_samples = [samples[row] for row in held_rows]
        print_notes(environment, heldout_notes(build, held_samples, listing.camera_names))
        inputs = sources.run_inputs(self.checked, samples, listing.test)
        with self.folder.claimed(environment.is_main):
            environment.from_main(lambda: self._prepare_folder(inputs, resume))
            trained = [samples[row] for row in rows]
            training_samples = build.training_samples(trained)
            begun, inputs_known = (False, True)
            if resume:
                begun, inputs_known = environment.from_main(lambda: stored_run(self._checkpoints()))
            model, objective = self._parts(listing.info, pretrained=not begun)
            model.observe_training(training_samples)
            model.validate(listing.test)
            sampler = build.sampler(training_samples, environment.rank, environment.world)
            images = self.data.images(samples, environment, listing.camera_names)
            test = self.data.test(listing, environment)
            training, held = images.part(rows, training_samples), images.part(held_rows, held_samples)
            log = self._log()
            runner = self._runner(environment, log)
            pin, views = environment.device.type == "cuda", build.views()
            loader = BatchLoader(training.samples, training.images, sampler, pin=pin, views=views)
            trainer = Trainer(
                model=model,
                objective=objective,
                optimizer=build.optimizer(
                    parameter_groups(model, objective, build.lr_scale(), **build.group_options())
                ),
                schedule=build.lr_schedule(),
                batches=TrainingBatches(loader, sampler),
                augment=build.augment(),
                environment=environment,
                checkpoints=self._checkpoints(inputs if inputs_known else None),
                epochs=build.epochs(),
                seed=config.SEED,
                checkpoint_key=self._checkpoint_key(listing.info),
                clip_norm=config.CLIP_NORM,
                gather_features=config.GATHER_FEATURES,
                embed_training=TrainingEmbeddings(runner, model, training, build),
                labels=build.label_source(),
                samples=training_samples,
                callbacks=run_callbacks(
                    build, self.folder, log, between_epochs(build, runner, held, test), callbacks, samples=trained
                ),
            )
            if not (resume and trainer.resume()) and config.WEIGHTS:
                path, key = normalized_path(config.WEIGHTS), self._checkpoint_key(listing.info)
                kept = kept_in_training(path, key, inputs.to_json())
                print_notes(environment, load_model(path, model, self._data(), kept=kept))
                model.observe_training(training_samples)  # in addition to those of the weights
            if config.COMPILE:
                compile_for_training(model.backbone)
            with compile_faults():
                trainer.fit()
            selected = trainer.selected_epoch()
            if selected != trainer.progress.epoch:
                load_model(self._checkpoints().path(selected), trainer.evaluated_model)
            selection = self._selection(selected, trainer.best, config.EMA)
            trained_on = inputs.to_json() if inputs_known else None
            return self._evaluate(trainer.evaluated_model, test, held, runner, selection, inputs, trained_on)

    def evaluate(self) -> dict[str, Report]:
        """Evaluate the selected checkpoint of the run, or WEIGHTS (a checkpoint folder or a .safetensors file)."""
        environment = self._environment()
        listing = self.data.listing(environment)
        inputs = sources.run_inputs(self.checked, listing.dataset.train(), listing.test)
        model, selection, path = self._network(environment, listing.info)
        trained_on = stored_inputs(path)
        changed = inputs.training_changes(trained_on or {}, ListingRecord.read(self.folder.listing), files=False)
        cross = cross_dataset(path, self._test_data(), inputs.to_json())
        if environment.is_main and changed and not cross_dataset(path, self._test_data()):
            print(f"since this checkpoint was trained: {'; '.join(changed)}")
        model.validate(listing.test)
        runner = self._runner(environment, self._log())
        held = None  # the training images are opened only where a threshold needs them
        if self._needs_heldout():
            self._require_heldout(path, inputs)
            held = self.data.heldout(listing, environment)
        test = self.data.test(listing, environment)
        return self._evaluate(model, test, held, runner, selection, inputs, trained_on, cross)

    def deployed(self) -> tuple[CrossModalityNet, str, Environment]:
        """Load the network that `evaluate` evaluates, without the dataset.

        Returns:
            The network in evaluation mode, a description of its checkpoint, and its device.
        """
        environment = self._environment()
        model, selection, _ = self._network(environment, self.build.info)
        return model.eval(), selection, environment

    def embedding_table(self, people: Literal["heldout", "test"]) -> tuple[CrossModalityNet, str, EmbeddingTable]:
        """Embed the held-out identities or the test images with the network that `evaluate` evaluates.

        Returns:
            The network in evaluation mode, a description of its checkpoint, and the embeddings.

        Raises:
            UserError: If the held-out identities are not those that the network was not trained on.
        """
        environment = self._environment()
        listing = self.data.listing(environment)
        model, selection, path = self._network(environment, listing.info)
        if people == "heldout":
            inputs = sources.run_inputs(self.checked, listing.dataset.train(), listing.test)
            self._require_heldout(path, inputs)
            images = self.data.heldout(listing, environment)
        else:
            images = self.data.test(listing, environment)
        conditions = self._data_conditions()
        runner = self._runner(environment, self._log())
        return model.eval(), selection, runner.embed(model, images, conditions, flips=self.config.FLIP_TEST)

    def network(self) -> CrossModalityNet:
        """Load the network that `evaluate` evaluates, in evaluation mode."""
        return self._network(self._environment(), self.data.dataset()[1])[0].eval()

    def test_samples(self) -> Sequence[Sample]:
        """The test images, in the order of the rows of `features.npz`."""
        return self.data.dataset()[0].test()

    def inputs(self) -> RunInputs:
        """Record what a run of this configuration is made from now: listings, plug-ins and files. Opens no image.

        Raises:
            DataError: If the dataset cannot be listed.
        """
        dataset, _ = self.data.dataset()
        return sources.run_inputs(self.checked, dataset.train(), dataset.test())

    # -- before the first image ------------------------------------------------------------------------------------

    def _environment(self) -> Environment:
        return Environment(device=self.config.DEVICE, precision=self.config.PRECISION)

    def _require_before_reading(self, environment: Environment, resume: bool) -> list[Callback]:
        """Check what a training needs in addition to the dataset; return the callbacks of the configuration."""
        config = self.config
        require_evaluations(self.build)
        continued = resume and bool(self._checkpoints().epochs())  # then WEIGHTS are not read again
        if config.WEIGHTS and not continued and not normalized_path(config.WEIGHTS).exists():
            raise CheckpointError(f"WEIGHTS: {normalized_path(config.WEIGHTS)} does not exist")
        if config.COMPILE:
            require_compiler(environment.device)
        callbacks = self.build.callbacks()
        for callback in callbacks:
            callback.validate()
        return callbacks

    def _prepare_folder(self, inputs: RunInputs, resume: bool) -> None:
        prepare_folder(self.folder, self._checkpoints(), self.checked, inputs, resume=resume)

    # -- parts of a training ---------------------------------------------------------------------------------------

    def _log(self) -> JsonLines:
        tensorboard = TensorBoard(self.folder.tensorboard) if self.config.TENSORBOARD else None
        return JsonLines(self.folder.log, also=tensorboard)

    def _parts(self, info: DatasetInfo, *, pretrained: bool) -> tuple[CrossModalityNet, Objective]:
        """Network and objective; initial weights depend on SEED, and on the pretrained weights if they are loaded."""
        with seeded(self.config.SEED, _INIT_SEED):
            build = self.build.with_info(info)
            model = build.model(weights=pretrained)
            return model, build.objective(model)

    def _needs_heldout(self) -> bool:
        """Whether an evaluation chooses its threshold on held-out identities."""
        return any(one.open_set is not None and one.open_set.needs_heldout for one in self.build.evaluators().values())

    def _require_heldout(self, path: Path, inputs: RunInputs) -> None:
        """Require that weights were not trained on the held-out identities of this dataset."""
        if not cross_dataset(path, self._test_data()):  # of another class: all its identities are new
            require_same_dataset(path, self._data())
            require_not_trained_on(path, self.config, inputs.to_json())

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _checkpoints(self, inputs: RunInputs | None = None) -> CheckpointFolder:
        stored = None if inputs is None else inputs.to_json()
        return CheckpointFolder(self.folder.checkpoints, keep=self.config.KEEP_CHECKPOINTS, inputs=stored)

    def _checkpoint_key(self, info: DatasetInfo) -> dict[str, Any]:
        """What a checkpoint must agree in to belong to this run."""
        return {**self._data(), "num_ids": info.num_ids}

    def _data(self) -> dict[str, Any]:
        """Name of the dataset, and its split if it has several."""
        dataset = self.build.dataset()
        return {"data": self.config.DATA.NAME, **(dataset.checkpoint_key if isinstance(dataset, Identified) else {})}

    def _test_data(self) -> dict[str, Any]:
        """The same of the test images: of joined datasets, the one that is tested on."""
        dataset = self.build.dataset()
        return dict(dataset.test_key) if isinstance(dataset, TestsOnePart) else self._data()

    def _data_conditions(self) -> dict[str, str]:
        """The dataset of the test images, and of the identities of the configuration if these are joined datasets."""
        data, tested = self._data(), self._test_data()
        joined = {"joined_datasets": data_text(data)} if data != tested else {}
        return {**{key: str(value) for key, value in tested.items()}, **joined}

    def _selection(self, epoch: int, best: Mapping[str, Any], ema: float) -> str:
        """How the checkpoint was selected, for the conditions of the results."""
        held = self.config.HELDOUT_IDENTITIES
        averaged = f", EMA of the weights (decay {ema:g})" if ema else ""
        if not best:
            return f"last epoch ({epoch}){averaged}"
        by = f"mAP on {held} training identities held out of training" if held else "rank-1 on the test set"
        return f"best {by} (epoch {epoch}){averaged}"

    def _selected_checkpoint(
        self, model: CrossModalityNet, objective: Objective, info: DatasetInfo
    ) -> tuple[Path, str]:
        checkpoints = self._checkpoints()
        newest = checkpoints.newest(self._checkpoint_key(info))
        if newest is None:
            raise CheckpointError(
                f"{self.folder.root}: holds no checkpoint to evaluate; train first, or name one with WEIGHTS"
            )
        state: TrainerState = checkpoints.load(newest, model, objective)
        epoch = int(state.best["epoch"]) if state.best else newest
        return checkpoints.path(epoch), self._selection(epoch, state.best, state.ema)

    def _network(self, environment: Environment, info: DatasetInfo) -> tuple[CrossModalityNet, str, Path]:
        """The network with the selected weights of the run or with WEIGHTS, how they were selected, and their path.

        The number of identities is that of the weights, if they state it.
        """
        epochs = self._checkpoints().epochs()
        newest = self._checkpoints().path(epochs[-1] if epochs else 0)
        given = self._given_weights(environment)
        path = given or newest
        info = replace(info, num_ids=stored_ids(path) or info.num_ids)
        model, objective = self._parts(info, pretrained=False)
        if given:
            selection = f"given ({self.config.WEIGHTS})"
        else:
            path, selection = self._selected_checkpoint(model, objective, info)
        load_model(path, model, self._data())
        place(model, environment.device)
        return model, selection, path

    def _given_weights(self, environment: Environment) -> Path | None:
        """WEIGHTS, unless the run in OUTPUT_DIR started from them: then its own checkpoint is evaluated."""
        if not self.config.WEIGHTS:
            return None
        path, started = normalized_path(self.config.WEIGHTS), show.started_from(self.folder.read_config())
        if started and normalized_path(started) == path and self._checkpoints().epochs():
            print_notes(environment, [f"{self.folder.root}: evaluating this run, which started from WEIGHTS ({path})"])
            return None
        return path

    # -- evaluation ------------------------------------------------------------------------------------------------

    def _runner(self, environment: Environment, log: JsonLines) -> EvaluationRunner:
        return EvaluationRunner(environment=environment, folder=self.folder, log=log, batch=self.config.TEST_BATCH)

    def _evaluate(
        self,
        model: nn.Module,
        test: ImageSet,
        held: ImageSet | None,
        runner: EvaluationRunner,
        selection: str,
        inputs: RunInputs,
        trained_on: Mapping[str, Any] | None,
        cross: Mapping[str, str] | None = None,
    ) -> dict[str, Report]:
        """Embed the test images once, evaluate every protocol, write the results and print them."""
        evaluators: Mapping[str, Evaluator] = self.build.evaluators()
        if not evaluators:
            raise ConfigError(["EVALUATION is empty: name at least one protocol"])
        conditions = {
            **self._data_conditions(),
            "feature": "+".join(self.config.MODEL.EMBEDDING),
            "checkpoint": selection,
            "precision": runner.environment.precision,
            "seed": str(self.config.SEED),
            **model.conditions,  # type: ignore[dict-item]
            **(cross or {}),
        }
        if (depth := self.build.depth()) is not None:
            conditions["depth"] = str(depth)
        flips = self.config.FLIP_TEST
        if flips != "none":
            conditions["flipped_images"] = f"added ({flips})"
        table = runner.embed(model, test, conditions, flips=flips)
        if uses_channels(evaluators):
            table = runner.embed_channels(model, test, table, flips=flips)
        heldout = runner.embed(model, held, flips=flips) if held is not None and self._needs_heldout() else None
        stored = {**inputs.to_json(), "trained_on": trained_on}
        features = self.config.SAVE_FEATURES
        return runner.write_results(table, evaluators, heldout=heldout, features=features, inputs=stored)
