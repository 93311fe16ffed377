"""List the registered components of one kind, each with its purpose and its constructor arguments.

Without KIND, list the kinds. In a config, arguments are written in capitals, as in MARGIN: 0.3.
"""

from __future__ import annotations

import argparse
import fnmatch
import inspect
from collections.abc import Iterator
from typing import Any

from vireid.core import registries
from vireid.core.errors import UserError, nearest
from vireid.core.registry import Entry, Registry
from vireid.core.text import align_columns

CONFIGS = "configs"
MODELS = "models"
KINDS = {  # a registry of core/registries.py, or CONFIGS -> what is listed
    "backbones": "networks that compute feature maps (MODEL.BACKBONE)",
    "inserts": "modules inserted into a backbone",
    "pools": "pooling of a feature map (MODEL.POOL)",
    "heads": "outputs of the network, such as embeddings and logits (MODEL.HEADS)",
    "adapters": "modules that combine features with attributes (MODEL.ADAPTER)",
    "stages": "stages of an adapter",
    "attribute-sources": "origin of the attributes at training and test time (MODEL.ATTRIBUTES)",
    "losses": "loss terms (OBJECTIVE)",
    "term-schedules": "weight of a loss term over the epochs (OBJECTIVE.*.SCHEDULE)",
    "datasets": "readers of datasets (DATA)",
    "label-sources": "origin of the labels of the training images (LABELS)",
    "samplers": "composition of training batches (SAMPLER)",
    "augmentations": "augmentations (AUGMENTATION, VIEWS)",
    "optimizers": "optimizers (SOLVER)",
    "lr-schedules": "learning rate over the epochs (SOLVER.SCHEDULE)",
    "callbacks": "additions to the training loop (CALLBACKS)",
    "protocols": "evaluation protocols (EVALUATION)",
    "similarities": "query-gallery similarity (SIMILARITY)",
    "indexes": "nearest-neighbor indexes (EVALUATION.*.INDEX)",
    "rerankers": "re-ranking (EVALUATION.*.RERANKING)",
    "open-sets": "open-set evaluation (EVALUATION.*.OPEN_SET)",
    CONFIGS: "shipped configs, as create_model names them",
    MODELS: "the same; with --weights, trained models in a folder or on a hub",
}
EXAMPLES = """
  %(prog)s
  %(prog)s losses
  %(prog)s losses '*triplet*'
  %(prog)s configs 'regdb/*' --names
  %(prog)s models 'sysu/*' --weights runs
  %(prog)s models --weights hf://OWNER
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid list`."""
    parser.add_argument(
        "kind", nargs="?", type=_kind, choices=list(KINDS), metavar="KIND", help=f"one of {', '.join(KINDS)}"
    )
    parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="only names that match (*, ?)")
    parser.add_argument(
        "--weights",
        metavar="PLACE",
        help="for models: a folder of runs and bundles, or hf://OWNER; list those that have trained weights there",
    )
    parser.add_argument("--names", action="store_true", help="print only the names, one a line")


def _kind(word: str) -> str:
    if word not in KINDS:
        raise argparse.ArgumentTypeError(
            f"unknown kind {word!r}{nearest(word, KINDS) or '.'} Kinds: {', '.join(KINDS)}"
        )
    return word


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid list` and return its exit code."""
    if arguments.weights is not None and arguments.kind != MODELS:
        parser.error(f"--weights is an option of `vireid list {MODELS}`")
    if arguments.weights is not None:
        _print_weights(arguments.weights, arguments.pattern, arguments.names)
        return 0
    if arguments.kind is None:
        width = max(map(len, KINDS)) + 2
        print("\n".join(KINDS if arguments.names else (f"{name:{width}}{text}" for name, text in KINDS.items())))
        return 0
    if arguments.kind in (CONFIGS, MODELS):
        from vireid.zoo.models import list_models

        print("\n".join(_matching(list_models(), arguments.pattern, "config")))
        return 0
    import vireid.config.check  # noqa: F401  fills the registries

    registry = registry_of(arguments.kind)
    names = _matching(registry.names(), arguments.pattern, registry.kind)
    print("\n".join(names) if arguments.names else "\n\n".join(component_text(registry, name) for name in names))
    return 0


def _print_weights(place: str, pattern: str, names: bool) -> None:
    """Print one line for each trained model; an error if none matches."""
    from vireid.zoo.models import list_models

    found = list_models(pattern, weights=place)
    if not found:
        known = [weights.name for weights in list_models(weights=place)]
        text = f"\n    Names: {', '.join(known)}" if known else "; it has no run with a checkpoint and no bundle"
        raise UserError(f"{place}: no trained model matches {pattern!r}{nearest(pattern, known)}{text}")
    if names:
        print("\n".join(weights.path for weights in found))
        return
    rows = [("config", "kind", "path", "trained on", "license")]
    rows += [
        (", ".join(each.configs) or "-", each.kind, each.path, each.data or "-", each.license or "-") for each in found
    ]
    print("\n".join(align_columns(rows)))
    for each in found:
        if each.problem:
            print(f"{each.name} cannot be read: {each.problem}")


def registry_of(kind: str) -> Registry:
    """Return the registry of a kind.

    Example:
        >>> registry_of("lr-schedules").kind
        'learning-rate schedule'
    """
    return registries.ALL[kind.upper().replace("-", "_")]


def component_text(registry: Registry, name: str) -> str:
    """Format a component: its name, the first sentence of its docstring, families of networks, one argument a line."""
    entry = registry.get(name)
    rows = list(_arguments(registry, entry))
    width = max((len(text) for text, _ in rows), default=0) + 2
    lines = [f"    {text:{width}}{note}".rstrip() for text, note in rows]
    families = [f"  Family {name}: {members}" for name, members in getattr(entry.target, "families", {}).items()]
    return "\n".join([name, f"  {purpose(entry.target)}", *families, *lines])


def purpose(target: Any) -> str:
    """Return the first sentence of a docstring.

    Example:
        >>> purpose(purpose)
        'Return the first sentence of a docstring.'
    """
    paragraph = " ".join(inspect.cleandoc(target.__doc__ or "").split("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]


def _arguments(registry: Registry, entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield `name: type = default` and a note for each constructor parameter."""
    from vireid.config.component import INFO_FIELDS
    from vireid.config.schema import SLOTS

    runtime = {name for slot in SLOTS if slot.registry is registry for name in slot.runtime}
    slugs = {id(value): name.lower().replace("_", "-") for name, value in registries.ALL.items()}
    for name, parameter in entry.parameters().items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        kind = "" if parameter.annotation is parameter.empty else f": {_annotation(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {_default(parameter.default)}"
        if name in INFO_FIELDS:
            note = "known from the dataset or the model; not a setting"
        elif name in runtime:
            note = "filled in at run time; not a setting"
        elif name in entry.slots:
            note = f"a component of `vireid list {slugs[id(entry.slots[name])]}`"
        else:
            note = "" if default else "required"
        yield f"{name}{kind}{default}", note


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _default(value: Any) -> str:
    return value.__name__ if inspect.isclass(value) or inspect.isfunction(value) else repr(value)


def _matching(names: list[str], pattern: str, kind: str) -> list[str]:
    """Return the names that match a pattern, upper and lower case alike; an error if none does."""
    matching = [name for name in names if fnmatch.fnmatch(name.lower(), pattern.lower())]
    if not matching:
        raise UserError(f"no {kind} matches {pattern!r}{nearest(pattern, names)}\n    Names: {', '.join(names)}")
    return matching
