"""Checkpoints: written atomically, verified by digests when read, free of code.

A checkpoint is a folder with the files

- `model.safetensors`: the network that is evaluated,
- `objective.safetensors`: parameters and state of the losses,
- `training.safetensors`: the network that is trained, if the evaluated one is its moving average (EMA),
- `trainer.pt`: optimizer, progress and state of callbacks, as tensors and plain values,
- `meta.json`: dataset and number of identities, digests of the other files, inputs of the run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, CheckpointError, UserError
from vireid.core.identity_tensors import identity_tensors
from vireid.core.io import digest, remove_folder, replaced_folder, sweep
from vireid.core.types import Progress
from vireid.core.weight_files import missing_prefix, read_safetensors, unreadable, without_prefix
from vireid.engine.weights_origin import META, MODEL, joined_parts, stored_facts, stored_inputs, weights_place
from vireid.interop.weights import read_facts, stored_fact

FORMAT = 1
OBJECTIVE, TRAINER = "objective.safetensors", "trainer.pt"
TRAINING = "training.safetensors"
log = logging.getLogger(__name__)

Kept = Literal["none", "misfit", "all"]  # identity tensors that keep the values of a network; see `load_weights`


@dataclass(frozen=True)
class TrainerState:
    """State of a training that is resumed, without the weights.

    Args:
        progress: Position in the training.
        optimizer: State dict of the optimizer.
        threads: Number of CPU threads; the rounding of sums depends on it.
        best: Epoch and score of the selected epoch; empty without a selection.
        processes: Number of processes; the rounding of sums depends on it.
        callbacks: State of each callback by its name.
    """

    progress: Progress
    optimizer: Mapping[str, Any]
    threads: int
    best: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    callbacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ema(self) -> float:
        """Decay of the moving average that the model of the checkpoint is; 0: it has the weights of the last step."""
        return float(self.callbacks.get("WeightAverage", {}).get("decay", 0.0))

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> TrainerState:
        """Make the state of what `to_saved` returned."""
        values = {**saved, "progress": Progress(**saved["progress"])}
        if decay := values.pop("ema", 0.0):
            values["callbacks"] = {**values.get("callbacks", {}), "WeightAverage": {"decay": decay}}
        return cls(**values)

    def to_saved(self) -> dict[str, Any]:
        """Plain values for `trainer.pt`; without the state of other callbacks, versions before 0.2 read them, too."""
        values = asdict(self)
        callbacks = values.pop("callbacks")
        values["ema"] = callbacks.pop("WeightAverage", {}).get("decay", 0.0)
        return {**values, "callbacks": callbacks} if callbacks else values


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the state dict as safetensors: contiguous copies, because the format has no channels_last."""
    values = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    try:
        save_file(values, path)
    except SafetensorError as error:  # raised for a full disk
        raise OSError(str(error)) from error


def load_weights(module: nn.Module, path: Path, *, kept: Kept = "none") -> list[str]:
    """Load a .safetensors file into a module, which keeps its device and memory format.

    A prefix that all names of the file have (`module.`, `_orig_mod.`) is removed and logged.

    Args:
        module: The module.
        path: The file.
        kept: Which identity tensors (`core.identity_tensors`) keep the values of the module: "none", "misfit", those
            that the file lacks or has in another shape, or "all".

    Returns:
        The names of the tensors that kept the values of the module.

    Raises:
        CheckpointError: With all missing and unexpected tensors and those of another shape.
    """
    try:
        saved = read_safetensors(path)
    except CheckpointError as error:
        released = "" if path.suffix == ".safetensors" else "; tools/convert_checkpoint.py makes one of a released file"
        raise CheckpointError(f"{error}{released}") from error
    renamed = without_prefix(saved, module.state_dict())
    names = fit_weights(module, renamed.tensors, str(path), kept=kept)
    if renamed.changes:
        log.warning("%s: %s", path, ", ".join(renamed.changes))
    return names


def fit_weights(module: nn.Module, saved: Mapping[str, Tensor], place: str, *, kept: Kept = "none") -> list[str]:
    """Copy tensors into a module after all names and shapes were compared; `place` is the start of the error text.

    `kept` and the result are those of `load_weights`.
    """
    own, names = module.state_dict(), list[str]()
    if kept != "none":
        fits = {name for name in own if name in saved and saved[name].shape == own[name].shape}
        names = sorted(name for name in identity_tensors(module) if kept == "all" or name not in fits)
        saved = {**saved, **{name: own[name] for name in names}}
    problems = [f"{name} is missing" for name in own if name not in saved]
    problems += [f"{name} is not part of this model" for name in saved if name not in own]
    problems += [
        f"{name} has shape {tuple(saved[name].shape)}, the model needs {tuple(own[name].shape)}"
        for name in own
        if name in saved and saved[name].shape != own[name].shape
    ]
    if problems and (prefix := missing_prefix(saved, own)):
        raise CheckpointError(
            f"{place}: does not fit this model: its names lack the prefix {prefix!r} ({next(iter(saved))!r} would be "
            f"{prefix + next(iter(saved))!r}), so it holds a part of such a model only; {_use_of(prefix)}"
        )
    if problems:
        shown = "".join(f"\n    {problem}" for problem in problems[:8])
        more = f"\n    and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(
            f"{place}: does not fit this model (another ARCH, method or number of identities?){shown}{more}"
        )
    module.load_state_dict(saved)
    return names


def _use_of(prefix: str) -> str:
    if prefix.startswith("backbone."):
        return "weights of a backbone in the names of timm or torchvision belong in MODEL.BACKBONE.WEIGHTS"
    return "WEIGHTS takes whole models"


class CheckpointFolder:
    """The checkpoints of one run: `<folder>/epoch_0007` and so on.

    Args:
        folder: The folder.
        keep: Number of checkpoints that are kept, in addition to the selected one.
        inputs: `RunInputs.to_json` of the run, stored with each checkpoint.
    """

    def __init__(self, folder: Path, *, keep: int = 2, inputs: Mapping[str, Any] | None = None) -> None:
        if keep < 1:
            raise ArgumentError("keep", f"must be at least 1, got {keep}")
        self.folder, self.keep, self.inputs = folder, keep, inputs

    def epochs(self) -> list[int]:
        """Epochs with a checkpoint, ascending; the checkpoints are not verified."""
        names = [path.name.removeprefix("epoch_") for path in self.folder.glob("epoch_*") if path.is_dir()]
        return sorted(int(name) for name in names if name.isdigit())

    def path(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:04d}"

    def stored_inputs(self) -> dict[str, Any] | None:
        """`RunInputs.to_json` of the run, from the newest checkpoint that has them; None without one."""
        each = (stored_inputs(self.path(epoch)) for epoch in reversed(self.epochs()))
        return next((inputs for inputs in each if inputs is not None), None)

    def save(
        self,
        model: nn.Module,
        objective: nn.Module,
        state: TrainerState,
        facts: Mapping[str, Any],
        name: str = "",
        *,
        training: nn.Module | None = None,
    ) -> Path:
        """Write a checkpoint, then remove old ones.

        Args:
            model: The network that is evaluated.
            objective: The losses.
            state: The rest of the training state.
            facts: What a checkpoint must agree in to belong to this run.
            name: Name of the folder; "": that of the epoch.
            training: The network that is trained, if it is another one.
        """
        target = self.folder / name if name else self.path(state.progress.epoch)
        with replaced_folder(target) as aside:
            save_weights(model, aside / MODEL)
            save_weights(objective, aside / OBJECTIVE)
            if training is not None:
                save_weights(training, aside / TRAINING)
            with (aside / TRAINER).open("wb") as file:  # opened by torch, a full disk is a RuntimeError
                torch.save(state.to_saved(), file)
            files = {path.name: digest(path) for path in sorted(aside.iterdir())}
            meta: dict[str, Any] = {
                "format": FORMAT,
                "epoch": state.progress.epoch,
                "facts": dict(facts),
                "sha256": files,
            }
            if self.inputs is not None:
                meta["inputs"] = dict(self.inputs)
            (aside / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
        if not name:
            self._drop_old(state)
        return target

    def _drop_old(self, state: TrainerState) -> None:
        kept = {*self.epochs()[-self.keep :], state.best.get("epoch")}
        for epoch in self.epochs():
            if epoch not in kept:
                remove_folder(self.path(epoch))
        sweep(self.folder)

    def newest(self, facts: Mapping[str, Any]) -> int | None:
        """Epoch of the newest intact checkpoint; None if there are no checkpoints. Damaged ones are logged.

        Raises:
            CheckpointError: If all checkpoints are damaged, or the newest intact one is of another dataset.
        """
        epochs = self.epochs()
        for epoch in reversed(epochs):
            try:
                check(self.path(epoch), facts)
                return epoch
            except _Damaged as damage:
                log.warning("%s; using the one before", damage)
        if epochs:
            raise CheckpointError(f"{self.folder}: all {len(epochs)} checkpoints are damaged")
        return None

    def selected(self) -> Path | None:
        """The selected checkpoint of a run, or the newest one without a selection; None if there is no checkpoint."""
        epochs = self.epochs()
        if not epochs:
            return None
        best = self.state(epochs[-1]).best
        return self.path(int(best["epoch"]) if best else epochs[-1])

    def load(
        self, epoch: int, model: nn.Module, objective: nn.Module, *, training: nn.Module | None = None
    ) -> TrainerState:
        """Load the weights of a checkpoint (`training`: the trained network, if it is another one); return the rest."""
        folder = self.path(epoch)
        load_weights(model, folder / MODEL)
        load_weights(objective, folder / OBJECTIVE)
        if training is not None:
            load_weights(training, folder / TRAINING)
        return self.state(epoch)

    def state(self, epoch: int) -> TrainerState:
        """Load the training state of a checkpoint without its weights."""
        place = self.path(epoch) / TRAINER
        try:
            saved = torch.load(place, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises any exception for such bytes; it builds plain values only
            raise CheckpointError(f"{place}: not a readable optimizer state: {unreadable(place, error)}") from error
        try:
            return TrainerState.of(saved)
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"{place}: not the state of a training run ({error})") from error


class _Damaged(UserError):
    """The files of a checkpoint are missing or differ from what was written."""


def check(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Verify all digests of a checkpoint and return its `meta.json`.

    Raises:
        CheckpointError: If it is damaged, of another format, or differs from `facts`, such as the number of identities.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        files, stored, written = dict(meta["sha256"]), dict(meta["facts"]), meta["format"]
        absent = {MODEL, OBJECTIVE, TRAINER} - files.keys()
        broken = [name for name, value in files.items() if digest(folder / name) != value]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Damaged(f"{folder}: damaged checkpoint ({type(error).__name__}: {error})") from error
    if broken:
        raise _Damaged(f"{folder}: damaged checkpoint ({', '.join(broken)} changed since it was written)")
    if absent:
        raise _Damaged(f"{folder}: damaged checkpoint ({META} names no {', '.join(sorted(absent))})")
    if written != FORMAT:
        raise CheckpointError(f"{folder}: written in format {written}, this version reads {FORMAT}")
    _agree(folder, stored, facts)
    return meta


def _agree(folder: Path, stored: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    differences = [
        f"{name} is {stored_fact(stored, name)!r} in the checkpoint and {value!r} in the config"
        for name, value in facts.items()
        if stored_fact(stored, name) != value
    ]
    if differences:
        raise CheckpointError(f"{folder}: checkpoint does not match this run: {'; '.join(differences)}")


def _agree_in_dataset(path: Path, stored: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Require that weights of the same dataset, or of a part of joined datasets, are of the same split."""
    same = [facts for facts in [stored, *joined_parts(stored)] if data and facts.get("data") == data.get("data")]
    if same and not any(all(stored_fact(facts, key) == value for key, value in data.items()) for facts in same):
        _agree(path, same[0], data)


def _checkpoints_in(folder: Path) -> str:
    """The newest checkpoint below a run folder or a folder of checkpoints; "" without one."""
    for place in (folder / "checkpoints", folder):
        if epochs := CheckpointFolder(place).epochs():
            return str(CheckpointFolder(place).path(epochs[-1]))
    return ""


def load_model(
    path: Path, model: nn.Module, data: Mapping[str, Any] | None = None, *, kept: Kept = "misfit"
) -> list[str]:
    """Load weights for evaluation, or as the start of a training.

    Identity tensors (`core.identity_tensors`) do not have to fit; all other tensors do.

    Args:
        path: A checkpoint folder, whose digests are verified, a bundle folder, or a .safetensors file, whose metadata
            may have the dataset (`vireid.interop.weights`).
        model: The network.
        data: The dataset, such as {"data": "RegDB", "split": 3}. A checkpoint of the same dataset must agree in all of
            it, because a model of another split was trained on test identities of this one.
        kept: Which identity tensors keep the values of the network; see `load_weights`.

    Returns:
        One sentence about the identity tensors that kept the values of the network, if there are any.

    Raises:
        CheckpointError: If the checkpoint is damaged, missing, of another split, or does not fit the network.
    """
    path = weights_place(path)
    facts = stored_facts(path)
    if path.is_dir():
        if not (path / META).exists() and (inner := _checkpoints_in(path)):
            raise CheckpointError(f"{path}: is a folder of checkpoints, not a checkpoint; name one of them: {inner}")
        try:
            stored = check(path, {})["facts"]
        except _Damaged as damage:
            raise CheckpointError(str(damage)) from damage
        _agree_in_dataset(path, stored, data or {})
        path = path / MODEL
    elif path.exists():
        _agree_in_dataset(path, read_facts(path), data or {})
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint")
    names = load_weights(model, path, kept=kept)
    if not names:
        return []
    source = f"{facts.get('num_ids', 'other')} identities of {facts['data']}" if "data" in facts else "other identities"
    return [f"{path}: trained on {source}; not loaded, because they belong to those identities: {', '.join(names)}"]
