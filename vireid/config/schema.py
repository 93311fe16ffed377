"""The schema of a configuration: fixed settings with a value, and slots that hold components.

It is the only module with names of sections. Defaults of components are those of their constructors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vireid.config.coerce import Mismatch, convert
from vireid.core import registries
from vireid.core.paths import InputFile, PathText
from vireid.core.registry import Registry
from vireid.data.images.depth import depth_fault

Keys = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A key with a plain value.

    Args:
        key: Dotted path of the key.
        kind: Annotation of its type.
        default: Default value.
        meaning: What it sets, for `vireid show` and the reference.
        check: Returns the end of the sentence `KEY = value ...` for a value that is refused, else None.
        free: Whether a run may be resumed with another value.
    """

    key: str
    kind: Any
    default: Any
    meaning: str
    check: Callable[[Any], str | None] = lambda value: None
    free: bool = False

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("."))

    def convert(self, value: Any) -> Any:
        """Convert a value to the type of the setting. Raises Mismatch for a value that is refused.

        >>> SETTINGS["CLIP_NORM"].convert(5)
        5.0
        """
        result = convert(value, self.kind)
        refusal = self.check(result)
        if refusal:
            raise Mismatch(refusal)
        return result


def _at_least(least: float) -> Callable[[Any], str | None]:
    return lambda value: None if value >= least else f"is below {least}"


def _size(value: tuple[int, int]) -> str | None:
    return None if min(value) >= 16 else "is too small: [height, width] of at least 16 pixels each"


def _decay(value: float) -> str | None:
    return None if 0 <= value < 1 else "is not in [0, 1)"


def _layer_decay(value: float | None) -> str | None:
    return None if value is None or 0 < value <= 1 else "is not in (0, 1]"


def _not_empty(value: Any) -> str | None:
    return None if value else "is empty"


SETTINGS: dict[str, Setting] = {
    setting.key: setting
    for setting in [
        Setting("SEED", int, 0, "seed of everything random", _at_least(0)),
        Setting("OUTPUT_DIR", PathText, "runs/default", "folder of a run", _not_empty, free=True),
        Setting("IMPORTS", list[str], [], "modules that register components of their own"),
        Setting("DEVICE", Literal["auto", "cpu", "cuda"], "auto", "auto: cuda if a device is available"),
        Setting(
            "PRECISION", Literal["auto", "bf16", "float32"], "auto", "auto: bf16 if the device computes it natively"
        ),
        Setting("GATHER_FEATURES", bool, False, "compute losses over the rows of all processes"),
        Setting("COMPILE", bool, False, "compile the backbone with torch.compile in training", free=True),
        Setting("WEIGHTS", InputFile | None, None, "checkpoint to start from or to evaluate"),
        Setting("SIZE", tuple[int, int], (288, 144), "height and width of images in pixels", _size),
        Setting("CACHE_DIR", PathText, "runs/cache", "folder of decoded images", _not_empty, free=True),
        Setting("TEST_BATCH", int, 64, "images in a batch of evaluation", _at_least(1), free=True),
        Setting(
            "FLIP_TEST",
            Literal["none", "unit", "sum"],
            "none",
            "add the embeddings of mirrored test images: unit, L2-normalize the sum; sum, keep it as it is",
            free=True,
        ),
        Setting("CLIP_NORM", float, 0.0, "clip the gradient to this norm; 0: no clipping", _at_least(0)),
        Setting(
            "EMA",
            float,
            0.0,
            "decay of an EMA of the weights, which is evaluated instead; 0: off",
            _decay,
        ),
        Setting("EVALUATE_EVERY", int, 0, "epochs between evaluations; 0: only at the end", _at_least(0), free=True),
        Setting("CHECKPOINT_EVERY", int, 1, "epochs between checkpoints", _at_least(1), free=True),
        Setting("KEEP_CHECKPOINTS", int, 2, "number of checkpoints that are kept", _at_least(1), free=True),
        Setting(
            "SELECT",
            Literal["last", "test", "heldout"],
            "last",
            "checkpoint to evaluate: the last, the best on the TEST SET as the released codes do, or the best on"
            " HELDOUT_IDENTITIES",
        ),
        Setting(
            "HELDOUT_IDENTITIES",
            int,
            0,
            "training identities that are not trained on: they select the checkpoint and choose thresholds",
            _at_least(0),
        ),
        Setting("LOG_EVERY", int, 20, "steps between lines of the log", _at_least(1), free=True),
        Setting("SAVE_FEATURES", bool, True, "save the embeddings of the test images, for figures", free=True),
        Setting("TENSORBOARD", bool, True, "also write the log as TensorBoard events", free=True),
        Setting("MODEL.EMBEDDING", list[str], ["features_bn"], "fields that retrieval compares", _not_empty),
        Setting("MODEL.NORMALIZE", bool, True, "L2-normalize embeddings; if false, set SIMILARITY.METRIC euclidean"),
    ]
}


def conflicts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings that are valid alone and not together: (key, rest of the sentence `KEY = value ...`).

    >>> conflicts({"SELECT": "test", "EVALUATE_EVERY": 0, "HELDOUT_IDENTITIES": 0})
    [('SELECT', 'chooses among evaluations, and EVALUATE_EVERY = 0 makes none; set it to 1 or more')]
    """
    select, held, found = values["SELECT"], values["HELDOUT_IDENTITIES"], []
    if select != "last" and not values["EVALUATE_EVERY"]:
        found.append(("SELECT", "chooses among evaluations, and EVALUATE_EVERY = 0 makes none; set it to 1 or more"))
    if select == "heldout" and held < 2:
        found.append(("HELDOUT_IDENTITIES", "is too few for SELECT = 'heldout'; set it to 2 or more"))
    if select == "test" and held:
        found.append(("HELDOUT_IDENTITIES", "contradicts SELECT = 'test'; set it to 0, or SELECT heldout or last"))
    return found


@dataclass(frozen=True)
class Extra:
    """A key of a slot in addition to the constructor's parameters. It is kept when NAME changes.

    Args:
        kind: Annotation of a plain value.
        registry: Registry of a component, instead of `kind`.
        default: NAME of a component that is written without one.
        required: Whether it must be set.
        whole: Whether a child file replaces the map instead of merging into it, because its keys contain dots.
        least: Smallest number.
        check: As in `Setting`.
        free: As in `Setting`.
    """

    kind: Any = None
    registry: Registry | None = None
    default: str | None = None
    required: bool = False
    whole: bool = False
    least: float | None = None
    check: Callable[[Any], str | None] = lambda value: None
    free: bool = False


@dataclass(frozen=True)
class Slot:
    """A place of a configuration that holds components of one kind.

    Args:
        path: Path of keys.
        registry: Components that it can hold.
        is_map: Whether it holds {ENTRY: node} instead of one node.
        required: Whether it must hold a component.
        default: Node that it holds by default.
        extras: Keys in addition to the constructor's parameters.
        runtime: Constructor parameters that are filled in at run time.
        free: Whether a run may be resumed with other components.
    """

    path: Keys
    registry: Registry
    is_map: bool = False
    required: bool = False
    default: Mapping[str, Any] | None = None
    extras: Mapping[str, Extra] = field(default_factory=dict)
    runtime: frozenset[str] = frozenset()
    free: bool = False

    @property
    def key(self) -> str:
        return ".".join(self.path)


_MODALITY = Extra(Literal["visible", "infrared"] | None)  # of the images that the entry is for; null: all
_VIEW = Extra(int | None, least=0)  # 0: the images themselves; 1, 2, ...: the entries of VIEWS
_START = Extra(int, least=0)  # first epoch of the entry, from 0
_STOP = Extra(int | None, least=1)  # first epoch without the entry; null: it stays to the end
_USES = Extra(Mapping[str, str] | None)

SLOTS: tuple[Slot, ...] = (
    Slot(
        ("DATA",),
        registries.DATASETS,
        required=True,
        # how gray images of more than 8 bits become 8 bits: {percentiles: [1, 99]} or {range: [low, high]}
        extras={"DEPTH": Extra(Mapping[str, tuple[float, float]] | None, whole=True, check=depth_fault)},
    ),
    Slot(("LABELS",), registries.LABEL_SOURCES, required=True, default={"NAME": "AnnotatedLabels"}),
    Slot(
        ("SAMPLER",),
        registries.SAMPLERS,
        required=True,
        runtime=frozenset({"samples", "seed", "rank", "world"}),
    ),
    Slot(
        ("AUGMENTATION",),
        registries.AUGMENTATIONS,
        is_map=True,
        extras={"MODALITY": _MODALITY, "VIEW": _VIEW, "START": _START, "STOP": _STOP},
    ),
    Slot(("VIEWS",), registries.AUGMENTATIONS, is_map=True, extras={"MODALITY": _MODALITY}),
    Slot(("MODEL", "BACKBONE"), registries.BACKBONES, required=True, runtime=frozenset({"image_size"})),
    Slot(("MODEL", "POOL"), registries.POOLS, required=True),
    Slot(("MODEL", "ADAPTER"), registries.ADAPTERS),
    Slot(("MODEL", "ATTRIBUTES"), registries.ATTRIBUTE_SOURCES),
    Slot(("MODEL", "HEADS"), registries.HEADS, is_map=True, extras={"USES": _USES}),
    Slot(
        ("OBJECTIVE",),
        registries.LOSSES,
        is_map=True,
        required=True,
        extras={
            "WEIGHT": Extra(float),
            "SCHEDULE": Extra(registry=registries.TERM_SCHEDULES),
            "USES": _USES,
        },
    ),
    Slot(
        ("SOLVER",),
        registries.OPTIMIZERS,
        required=True,
        extras={
            "EPOCHS": Extra(int, required=True, least=1, free=True),
            "LR_SCALE": Extra(Mapping[str, float] | None, whole=True),
            "SCHEDULE": Extra(registry=registries.LR_SCHEDULES),
            "FREEZE": Extra(Mapping[str, int | tuple[int, int]] | None, whole=True),
            # factor of the learning rate from one layer of the backbone to the one before it; null: none
            "LAYER_DECAY": Extra(float | None, check=_layer_decay),
            "DECAYED": Extra(Literal["all", "matrices"]),  # parameters with weight decay; by default all
        },
        runtime=frozenset({"params"}),
    ),
    Slot(("CALLBACKS",), registries.CALLBACKS, is_map=True, free=True),
    Slot(
        ("EVALUATION",),
        registries.PROTOCOLS,
        is_map=True,
        required=True,
        extras={
            "RERANKING": Extra(registry=registries.RERANKERS),
            "INDEX": Extra(registry=registries.INDEXES),
            "OPEN_SET": Extra(registry=registries.OPEN_SETS, default="OpenSet"),
        },
        free=True,
    ),
    Slot(("SIMILARITY",), registries.SIMILARITIES, required=True, default={"NAME": "Similarity"}, free=True),
)

BY_PATH: dict[Keys, Slot] = {slot.path: slot for slot in SLOTS}


def slot_of_node(path: Keys) -> Slot | None:
    """The slot of which this path is a node: the path itself, or an entry of a map.

    >>> slot_of_node(("OBJECTIVE", "ID")).key, slot_of_node(("OBJECTIVE",))
    ('OBJECTIVE', None)
    """
    slot = BY_PATH.get(path)
    if slot is not None:
        return None if slot.is_map else slot
    above = BY_PATH.get(path[:-1])
    return above if above is not None and above.is_map else None


def is_whole(path: Keys) -> bool:
    """Whether a later file replaces the value at this path instead of merging into it."""
    slot = slot_of_node(path[:-1])
    return slot is not None and path[-1] in slot.extras and slot.extras[path[-1]].whole
