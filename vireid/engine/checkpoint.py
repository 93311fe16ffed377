"""Checkpoints: written whole or not at all, checked before they are believed, no code in them.

A checkpoint is a folder: `model.safetensors` (what retrieval needs), `objective.safetensors` (parameters and state
of the losses), `training.safetensors` (the weights that training goes on from, where the model holds their average),
`trainer.pt` (optimizer and progress, tensors and plain values only), `meta.json` (what it is a checkpoint of, and a
digest of each file).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from vireid.core.errors import CheckpointError, UserError
from vireid.core.io import digest, remove_folder, replaced_folder, sweep
from vireid.core.types import Progress
from vireid.core.weight_files import missing_prefix, read_safetensors, unreadable, without_prefix
from vireid.interop.weights import read_facts, stored_fact

FORMAT = 1
MODEL, OBJECTIVE, TRAINER, META = "model.safetensors", "objective.safetensors", "trainer.pt", "meta.json"
TRAINING = "training.safetensors"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerState:
    """Everything a run needs to go on as if nothing had happened, beside the weights."""

    progress: Progress
    optimizer: Mapping[str, Any]
    threads: int  # CPU sums depend on how many threads share them
    best: Mapping[str, Any] = field(default_factory=dict)  # of a run that selects its checkpoint: epoch, score
    processes: int = 1  # so do sums over processes
    ema: float = 0.0  # decay of the average that the model's weights are; 0: they are the weights of the last step


def save_weights(module: nn.Module, path: Path) -> None:
    """State dict -> safetensors. The format knows no channels_last and no shared storage: plain copies are written."""
    values = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    try:
        save_file(values, path)
    except SafetensorError as error:  # how the library tells a full disk
        raise OSError(str(error)) from error


def load_weights(module: nn.Module, path: Path) -> None:
    """safetensors -> module, strict: missing, unexpected and misshapen tensors are all named in one CheckpointError.

    A prefix that all names of the file have (`module.`, `_orig_mod.`) is removed; a warning says so in one line.
    The module keeps its device and memory format.
    """
    try:
        saved = read_safetensors(path)
    except CheckpointError as error:
        released = "" if path.suffix == ".safetensors" else "; tools/convert_checkpoint.py makes one of a released file"
        raise CheckpointError(f"{error}{released}") from error
    renamed = without_prefix(saved, module.state_dict())
    fit_weights(module, renamed.tensors, str(path))
    if renamed.changes:
        log.warning("%s: %s", path, ", ".join(renamed.changes))


def fit_weights(module: nn.Module, saved: Mapping[str, Tensor], place: str) -> None:
    """Copy tensors into a module after comparing all names and shapes; `place` begins the error text."""
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in saved]
    problems += [f"{name} is not part of this model" for name in saved if name not in own]
    problems += [
        f"{name} has shape {tuple(saved[name].shape)}, the model wants {tuple(own[name].shape)}"
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


def _use_of(prefix: str) -> str:
    if prefix.startswith("backbone."):
        return "weights of a backbone in the names of timm or torchvision belong in MODEL.BACKBONE.WEIGHTS"
    return "WEIGHTS takes whole models"


class CheckpointFolder:
    """The checkpoints of one run: `<folder>/epoch_0007` and so on.

    The last `keep` stay, and the one that `best` names. `inputs` (`RunInputs.to_json`) are stored with each. Reading
    believes a checkpoint only if every digest fits; otherwise the one before is taken and a warning says so.
    """

    def __init__(self, folder: Path, *, keep: int = 2, inputs: Mapping[str, Any] | None = None) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder, self.keep, self.inputs = folder, keep, inputs

    def epochs(self) -> list[int]:
        """Epochs with a checkpoint, ascending; says nothing about whether it is whole."""
        names = [path.name.removeprefix("epoch_") for path in self.folder.glob("epoch_*") if path.is_dir()]
        return sorted(int(name) for name in names if name.isdigit())

    def path(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:04d}"

    def stored_inputs(self) -> dict[str, Any] | None:
        """`RunInputs.to_json` of the run, from the newest checkpoint that records them; None where none does."""
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
        """Write the checkpoint of `state.progress.epoch` (or under another name), then drop the ones too many.

        `model` is what retrieval needs; `training` the network that learns, where it is another one.
        """
        target = self.folder / name if name else self.path(state.progress.epoch)
        with replaced_folder(target) as aside:
            save_weights(model, aside / MODEL)
            save_weights(objective, aside / OBJECTIVE)
            if training is not None:
                save_weights(training, aside / TRAINING)
            with (aside / TRAINER).open("wb") as file:  # torch's own opening tells a full disk as a RuntimeError
                torch.save(asdict(state), file)
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
        """Epoch of the newest whole checkpoint, or None where there is none at all.

        Damaged ones are passed over with a warning; if all are damaged, CheckpointError.
        """
        epochs = self.epochs()
        for epoch in reversed(epochs):
            try:
                check(self.path(epoch), facts)
                return epoch
            except _Damaged as damage:
                log.warning("%s; going back to the one before", damage)
        if epochs:
            raise CheckpointError(f"{self.folder}: none of the {len(epochs)} checkpoints is whole")
        return None

    def load(
        self, epoch: int, model: nn.Module, objective: nn.Module, *, training: nn.Module | None = None
    ) -> TrainerState:
        """Weights into model, objective and, where it is another one, the network that learns; returns the rest."""
        folder = self.path(epoch)
        load_weights(model, folder / MODEL)
        load_weights(objective, folder / OBJECTIVE)
        if training is not None:
            load_weights(training, folder / TRAINING)
        place = folder / TRAINER
        try:
            saved = torch.load(place, map_location="cpu", weights_only=True)
        except Exception as error:  # bytes of foreign origin make torch raise anything; it builds plain values only
            raise CheckpointError(f"{place}: not a readable optimizer state: {unreadable(place, error)}") from error
        try:
            return TrainerState(**{**saved, "progress": Progress(**saved["progress"])})
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"{place}: not the state of a training run ({error})") from error


class _Damaged(UserError):
    """A checkpoint whose files are not what was written."""


def check(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`meta.json` of a checkpoint after all its digests were compared.

    Raises CheckpointError if it belongs to another data set (`facts`: e.g. number of identities) or format.
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


def stored_inputs(path: Path) -> dict[str, Any] | None:
    """`RunInputs.to_json` of the run that wrote a checkpoint folder; None for a file, and for an older version's."""
    if path.name == MODEL:
        path = path.parent
    try:
        found = json.loads((path / META).read_text(encoding="utf-8")).get("inputs")
    except (OSError, ValueError, AttributeError):
        return None  # loading it says what is wrong
    return found if isinstance(found, dict) else None


def stored_ids(path: Path) -> int:
    """How many identities a checkpoint (folder or .safetensors file) was trained on; 0 where it does not say."""
    if path.name == MODEL and (path.parent / META).is_file():
        path = path.parent
    try:
        facts = json.loads((path / META).read_text(encoding="utf-8"))["facts"] if path.is_dir() else read_facts(path)
        return int(facts.get("num_ids", 0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0  # loading it says what is wrong


def _checkpoints_in(folder: Path) -> str:
    """The newest checkpoint below a run folder or a folder of checkpoints; "" where there is none."""
    for place in (folder / "checkpoints", folder):
        if epochs := CheckpointFolder(place).epochs():
            return str(CheckpointFolder(place).path(epochs[-1]))
    return ""


def load_model(path: Path, model: nn.Module, data: Mapping[str, Any] | None = None) -> None:
    """Weights for evaluation: a checkpoint folder (its digests are checked) or a single .safetensors file, which may
    say in its metadata what it belongs to (`vireid.interop.weights`).

    `data`: the data set at hand, e.g. {"data": "RegDB", "split": 3}. A checkpoint of the same data set must agree in
    all of it, because a model of another split has seen the test people of this one; one of another data set need not.
    """
    if path.name == MODEL and (path.parent / META).is_file():
        path = path.parent
    if path.is_dir():
        if not (path / META).exists() and (inner := _checkpoints_in(path)):
            raise CheckpointError(f"{path}: is a folder of checkpoints, not a checkpoint; name one of them: {inner}")
        try:
            stored = check(path, {})["facts"]
        except _Damaged as damage:
            raise CheckpointError(str(damage)) from damage
        if data and stored.get("data") == data.get("data"):
            _agree(path, stored, data)
        path = path / MODEL
    elif data and (stored := read_facts(path)) and stored.get("data") == data.get("data"):
        _agree(path, stored, data)
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint")
    load_weights(model, path)
