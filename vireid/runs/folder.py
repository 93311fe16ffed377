"""Run folder: names of its files, a lock against a second writer, and the check of a run that is resumed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.io import sweep, write_text


class RunFolder:
    """Paths of the files of a run.

    | file | content | read and written by |
    |---|---|---|
    | `config.yml` | resolved config | `RunFolder` |
    | `log.jsonl`, `tensorboard/` | training log | `runs.log`, `runs.history` |
    | `metrics.json` | reports, machine, digests of the inputs | `runs.metrics` |
    | `rankings.npz`, `queries.npz`, `features.npz` | ranked lists, scores of each query, embeddings | `runs.results` |
    | `thresholds.json` | decision rule: thresholds and calibration | `runs.thresholds` |
    | `labels.npz` | pseudo labels of the newest epoch | `engine.cluster_log` |
    | `listing.csv.gz` | training listing | `runs.listing_record` |
    | `evaluations/NAME/` | results of the run on another dataset: files as above | `RunFolder.evaluation` |
    | `checkpoints/` | weights and training state | `engine.checkpoint` |

    Args:
        root: The folder; it may not exist yet.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = root = Path(root)
        self.config = root / "config.yml"
        self.log = root / "log.jsonl"
        self.tensorboard = root / "tensorboard"
        self.checkpoints = root / "checkpoints"
        self.metrics = root / "metrics.json"
        self.rankings = root / "rankings.npz"
        self.queries = root / "queries.npz"
        self.features = root / "features.npz"
        self.listing = root / "listing.csv.gz"
        self.labels = root / "labels.npz"
        self.thresholds = root / "thresholds.json"

    def evaluation(self, name: str) -> RunFolder:
        """Return the folder of the results of this run on another dataset."""
        return RunFolder(self.root / "evaluations" / name)

    @property
    def evaluated(self) -> bool:
        """Whether the results of an evaluation exist."""
        return self.metrics.is_file()

    def read_config(self) -> str:
        """Return the text of the resolved config; "" if it does not exist."""
        return self.config.read_text(encoding="utf-8", errors="replace") if self.config.exists() else ""

    @contextmanager
    def claimed(self, claim: bool = True) -> Iterator[None]:
        """Lock the folder against a second run until the block or the process ends.

        Raises:
            UserError: If another run holds the lock, or the folder cannot be written.
        """
        if not claim:
            yield
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise UserError(f"OUTPUT_DIR {self.root}: cannot be written ({error.strerror})") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(
                    f"OUTPUT_DIR {self.root}: another run is writing there; wait for it or choose another OUTPUT_DIR"
                ) from error
            yield
        finally:
            os.close(handle)

    def prepare(
        self,
        config: str,
        *,
        resume: bool,
        differences: Callable[[str], list[str]],
        input_changes: Callable[[], list[str]] = lambda: [],
    ) -> None:
        """Remove unfinished files and store the resolved config.

        Args:
            config: Text of the resolved config.
            resume: Whether a run in the folder is continued.
            differences: Text of the stored config -> settings that differ and must not, one line each.
            input_changes: Returns changes of the data, of the plug-ins and of the files that the config names.

        Raises:
            UserError: If the folder holds a run and `resume` is False, or the run is of another config or other inputs.
        """
        sweep(self.root)
        started = self.checkpoints.is_dir() and any(self.checkpoints.glob("epoch_*"))
        if started and not resume:
            raise UserError(
                f"OUTPUT_DIR {self.root} already holds a run; add --resume to continue it, --eval-only to evaluate it, "
                "or choose another OUTPUT_DIR"
            )
        if started:
            stored = self.read_config()
            changed = differences(stored) if stored else []
            inputs = input_changes()
            if changed or inputs:
                listed = "".join(f"\n    {line}" for line in [*changed, *inputs])
                other = " and ".join(["another config"] * bool(changed) + ["other inputs"] * bool(inputs))
                raise UserError(
                    f"OUTPUT_DIR {self.root} holds a run of {other}, so it cannot be resumed:{listed}\n"
                    "    Set these back, or choose another OUTPUT_DIR."
                )
        write_text(self.config, config)


def evaluated_folders(top: Path) -> list[Path]:
    """Return all folders below `top` that hold the results of an evaluation, sorted."""
    return sorted(path.parent for path in top.rglob(RunFolder(top).metrics.name))


def command_hint(folder: Path, flags: str = "") -> str:
    """Return the sentence that ends an error message: the command that writes what is missing.

    >>> command_hint(Path("runs/none"), "--eval-only")
    'Make it with: tools/train_net.py --config-file configs/sysu/mmd.yml --eval-only OUTPUT_DIR runs/none'
    """
    stored = RunFolder(folder).config
    config = str(stored) if stored.exists() else "configs/sysu/mmd.yml"
    flags = flags or ("--resume" if stored.exists() else "")
    return f"Make it with: tools/train_net.py --config-file {config} {flags + ' ' if flags else ''}OUTPUT_DIR {folder}"
