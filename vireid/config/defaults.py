"""The few fixed settings. Defaults of components live in their constructors, not here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from vireid.config.values import Mismatch, convert


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


def _not_empty(value: Any) -> str | None:
    return None if value else "is empty"


SETTINGS: dict[str, Setting] = {
    setting.key: setting
    for setting in [
        Setting("SEED", int, 0, "seed of everything random", _at_least(0)),
        Setting("OUTPUT_DIR", str, "runs/default", "folder of a run", _not_empty, free=True),
        Setting("IMPORTS", list[str], [], "modules that register components of their own"),
        Setting("DEVICE", Literal["auto", "cpu", "cuda"], "auto", "auto: cuda where there is one"),
        Setting("PRECISION", Literal["auto", "bf16", "float32"], "auto", "auto: bf16 where the device has it"),
        Setting("COMPILE", bool, False, "compile the backbone with torch.compile"),
        Setting("WEIGHTS", str | None, None, "a checkpoint to start from or to evaluate"),
        Setting("SIZE", tuple[int, int], (288, 144), "height and width of images in pixels", _size),
        Setting("CACHE_DIR", str, "runs/cache", "folder of decoded images", _not_empty, free=True),
        Setting("TEST_BATCH", int, 64, "images in a batch of evaluation", _at_least(1), free=True),
        Setting("CLIP_NORM", float, 0.0, "largest norm of the gradient; 0: no limit", _at_least(0)),
        Setting("EVALUATE_EVERY", int, 0, "epochs between evaluations; 0: only at the end", _at_least(0), free=True),
        Setting("CHECKPOINT_EVERY", int, 1, "epochs between checkpoints", _at_least(1), free=True),
        Setting("KEEP_CHECKPOINTS", int, 2, "checkpoints that are kept", _at_least(1), free=True),
        Setting(
            "SELECT",
            Literal["last", "test"],
            "last",
            "which checkpoint counts: the last, or the best on the TEST SET as the released codes do",
        ),
        Setting("LOG_EVERY", int, 20, "steps between lines of the log", _at_least(1), free=True),
        Setting("MODEL.DESCRIPTOR", list[str], ["features_bn"], "fields that retrieval compares", _not_empty),
    ]
}
