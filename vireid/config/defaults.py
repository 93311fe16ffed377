"""The few fixed settings. Defaults of components live in their constructors, not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vireid.config.coerce import Mismatch, convert
from vireid.core.paths import InputFile, PathText


@dataclass(frozen=True)
class Setting:
    """A key with a plain value: `check` returns the rest of the sentence `KEY = value ...` where a value is refused."""

    key: str  # dotted where it lies in a section
    kind: Any
    default: Any
    meaning: str
    check: Callable[[Any], str | None] = lambda value: None
    free: bool = False  # a run may be continued with another value

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("."))

    def convert(self, value: Any) -> Any:
        """The value in its type, or Mismatch.

        >>> SETTINGS["CLIP_NORM"].convert(5)
        5.0
        """
        result = convert(value, self.kind)
        problem = self.check(result)
        if problem:
            raise Mismatch(problem)
        return result


def _at_least(least: float) -> Callable[[Any], str | None]:
    return lambda value: None if value >= least else f"is below {least}"


def _size(value: tuple[int, int]) -> str | None:
    return None if min(value) >= 16 else "is too small: [height, width] of at least 16 pixels each"


def _decay(value: float) -> str | None:
    return None if 0 <= value < 1 else "is not in [0, 1)"


def _not_empty(value: Any) -> str | None:
    return None if value else "is empty"


SETTINGS: dict[str, Setting] = {
    setting.key: setting
    for setting in [
        Setting("SEED", int, 0, "seed of everything random", _at_least(0)),
        Setting("OUTPUT_DIR", PathText, "runs/default", "folder of a run", _not_empty, free=True),
        Setting("IMPORTS", list[str], [], "modules that register components of their own"),
        Setting("DEVICE", Literal["auto", "cpu", "cuda"], "auto", "auto: cuda where there is one"),
        Setting("PRECISION", Literal["auto", "bf16", "float32"], "auto", "auto: bf16 where the device has it"),
        Setting("GATHER_FEATURES", bool, False, "losses see the rows of all processes"),
        Setting("COMPILE", bool, False, "compile the backbone with torch.compile in training", free=True),
        Setting("WEIGHTS", InputFile | None, None, "a checkpoint to start from or to evaluate"),
        Setting("SIZE", tuple[int, int], (288, 144), "height and width of images in pixels", _size),
        Setting("CACHE_DIR", PathText, "runs/cache", "folder of decoded images", _not_empty, free=True),
        Setting("TEST_BATCH", int, 64, "images in a batch of evaluation", _at_least(1), free=True),
        Setting(
            "FLIP_TEST",
            Literal["none", "unit", "sum"],
            "none",
            "describe test images together with their mirror images: unit, the mean of both at length 1; sum, as it is",
            free=True,
        ),
        Setting("CLIP_NORM", float, 0.0, "largest norm of the gradient; 0: no limit", _at_least(0)),
        Setting("EMA", float, 0.0, "decay of an average of the weights, which is then evaluated; 0: none", _decay),
        Setting("EVALUATE_EVERY", int, 0, "epochs between evaluations; 0: only at the end", _at_least(0), free=True),
        Setting("CHECKPOINT_EVERY", int, 1, "epochs between checkpoints", _at_least(1), free=True),
        Setting("KEEP_CHECKPOINTS", int, 2, "checkpoints that are kept", _at_least(1), free=True),
        Setting(
            "SELECT",
            Literal["last", "test", "heldout"],
            "last",
            "which checkpoint counts: the last, the best on the TEST SET as the released codes do, or the best on"
            " HELDOUT_IDENTITIES",
        ),
        Setting("HELDOUT_IDENTITIES", int, 0, "training identities that only choose the checkpoint", _at_least(0)),
        Setting("LOG_EVERY", int, 20, "steps between lines of the log", _at_least(1), free=True),
        Setting("SAVE_FEATURES", bool, True, "keep the descriptors of the test images, for pictures", free=True),
        Setting("TENSORBOARD", bool, True, "write the log as TensorBoard events, too", free=True),
        Setting("MODEL.DESCRIPTOR", list[str], ["features_bn"], "fields that retrieval compares", _not_empty),
        Setting("MODEL.UNIT", bool, True, "descriptors have length 1; false: as they are, for SCORER EuclideanScorer"),
    ]
}


def disagreements(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings that are sound alone and not together: (key, rest of the sentence `KEY = value ...`).

    >>> disagreements({"SELECT": "test", "EVALUATE_EVERY": 0, "HELDOUT_IDENTITIES": 0})
    [('SELECT', 'chooses among evaluations, and EVALUATE_EVERY = 0 makes none; set it to 1 or more')]
    """
    select, held, found = values["SELECT"], values["HELDOUT_IDENTITIES"], []
    if select != "last" and not values["EVALUATE_EVERY"]:
        found.append(("SELECT", "chooses among evaluations, and EVALUATE_EVERY = 0 makes none; set it to 1 or more"))
    if select == "heldout" and held < 2:
        found.append(("HELDOUT_IDENTITIES", "is too few for SELECT = 'heldout'; set it to 2 or more"))
    if select != "heldout" and held:
        found.append(("HELDOUT_IDENTITIES", f"keeps people out of training for nothing with SELECT = {select!r}"))
    return found
