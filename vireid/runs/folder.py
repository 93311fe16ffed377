"""The folder of one run: what lies where, who may write into it, and whether it is the same run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vireid.core.errors import UserError
from vireid.core.io import sweep, write_text


class RunFolder:
    """`config.yml` (resolved), `log.jsonl`, `tensorboard/`, `checkpoints/`, and the results: `metrics.json`,
    `rankings.npz`, `queries.npz`, `features.npz`. `listing.csv.gz` is the training listing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yml"
        self.log = root / "log.jsonl"
        self.tensorboard = root / "tensorboard"
        self.checkpoints = root / "checkpoints"
        self.metrics = root / "metrics.json"
        self.rankings = root / "rankings.npz"
        self.queries = root / "queries.npz"
        self.features = root / "features.npz"
        self.listing = root / "listing.csv.gz"

    @contextmanager
    def claimed(self, claim: bool = True) -> Iterator[None]:
        """Keep a second run out of the folder while this one writes; the claim ends with the process in any case."""
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
        """Make the folder this run's: store its resolved config, or refuse.

        `differences(old config text)` names what would make the continued run another one; so does `input_changes`, of
        the data, the plug-ins and the files that the config names.
        """
        sweep(self.root)
        begun = self.checkpoints.is_dir() and any(self.checkpoints.glob("epoch_*"))
        if begun and not resume:
            raise UserError(
                f"OUTPUT_DIR {self.root} already holds a run; add --resume to continue it, --eval-only to evaluate it, "
                "or choose another OUTPUT_DIR"
            )
        if begun:
            changed = differences(self.config.read_text(encoding="utf-8")) if self.config.exists() else []
            inputs = input_changes()
            if changed or inputs:
                listed = "".join(f"\n    {line}" for line in [*changed, *inputs])
                other = " and ".join(["another config"] * bool(changed) + ["other inputs"] * bool(inputs))
                raise UserError(
                    f"OUTPUT_DIR {self.root} holds a run of {other}, so it cannot be resumed:{listed}\n"
                    "    Set these back, or choose another OUTPUT_DIR."
                )
        write_text(self.config, config)
