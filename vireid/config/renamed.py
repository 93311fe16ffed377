"""Former names of keys and components in YAML files: read for one release, with a message that names the new ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vireid.config.yaml import Keys
from vireid.core.errors import Problem


@dataclass(frozen=True)
class RenamedKey:
    """A key that moved.

    Args:
        old: Former path.
        new: Current path.
        only_for: NAME of the node above, if the key was renamed for one component only.
    """

    old: Keys
    new: Keys
    only_for: str = ""


@dataclass(frozen=True)
class RenamedComponent:
    """A component that became an argument of another one: `NAME: old` is read as `NAME: new` with `arguments`."""

    slot: Keys
    old: str
    new: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class RenamedArgument:
    """An argument of a component, in whichever slot the component is."""

    component: str
    old: str
    new: str


KEYS = (
    RenamedKey(("MODEL", "DESCRIPTOR"), ("MODEL", "EMBEDDING")),
    RenamedKey(("MODEL", "UNIT"), ("MODEL", "NORMALIZE")),
    RenamedKey(("SCORER",), ("SIMILARITY",)),
    RenamedKey(("DATA", "TRIAL"), ("DATA", "SPLIT"), only_for="RegDB"),
)
COMPONENTS = (
    RenamedComponent(("SIMILARITY",), "TorchScorer", "Similarity", {}),
    RenamedComponent(("SIMILARITY",), "EuclideanScorer", "Similarity", {"METRIC": "euclidean"}),
    RenamedComponent(("SIMILARITY",), "FaissScorer", "Similarity", {"BACKEND": "faiss"}),
)
ARGUMENTS = (RenamedArgument("KReciprocal", "NEIGHBOURS", "NEIGHBORS"),)


@dataclass(frozen=True)
class Renaming:
    """One former name that was found in a tree: where it was and where its value is now."""

    old: Keys
    new: Keys
    message: str


def use_current_names(
    tree: dict[str, Any], below: Mapping[str, Any] | None = None
) -> tuple[list[Renaming], list[tuple[Keys, Problem]]]:
    """Rewrite former names in a tree of settings.

    Args:
        tree: What one file or the command line sets; changed in place.
        below: What its base files set, for the NAME of a node.

    Returns:
        The renamings, and a problem with its place for each key that is set by both of its names.

    Example:
        >>> tree = {"SCORER": {"NAME": "FaissScorer"}}
        >>> renamings, problems = use_current_names(tree)
        >>> tree
        {'SIMILARITY': {'NAME': 'Similarity', 'BACKEND': 'faiss'}}
        >>> [renaming.message for renaming in renamings]
        ['SCORER is now SIMILARITY', 'SIMILARITY.NAME FaissScorer is now Similarity with BACKEND faiss']
    """
    renamings, problems = [], []
    for key in KEYS:
        old, new = ".".join(key.old), ".".join(key.new)
        node, target = _at(tree, key.old[:-1]), _at(tree, key.new[:-1])
        if node is None or target is None or key.old[-1] not in node:
            continue
        if key.only_for and _name(tree, below or {}, key.old[:-1]) != key.only_for:
            continue
        if key.new[-1] in target:
            problems.append((key.old, Problem(f"is the former name of {new}, which is also set; remove it", key=old)))
            continue
        _move(node, key.old[-1], target, key.new[-1])
        renamings.append(Renaming(key.old, key.new, f"{old} is now {new}"))
    for component in COMPONENTS:
        node = _at(tree, component.slot)
        if node is None or node.get("NAME") != component.old:
            continue
        node["NAME"] = component.new
        for argument, value in component.arguments.items():
            node.setdefault(argument, value)
        words = ", ".join(f"{argument} {value}" for argument, value in component.arguments.items())
        place = (*component.slot, "NAME")
        message = f"{'.'.join(place)} {component.old} is now {component.new}{f' with {words}' if words else ''}"
        renamings.append(Renaming(place, place, message))
    for keys, node in list(_nodes(tree)):
        for argument in ARGUMENTS:
            if node.get("NAME") == argument.component and argument.old in node:
                _move(node, argument.old, node, argument.new)
                old, new = (*keys, argument.old), (*keys, argument.new)
                renamings.append(Renaming(old, new, f"{'.'.join(old)} is now {'.'.join(new)}"))
    return renamings, problems


def move_origins(origins: dict[Keys, Any], renamings: list[Renaming]) -> None:
    """Rename the keys of a table by path in the same way."""
    for renaming in renamings:
        if renaming.old == renaming.new:
            continue
        depth = len(renaming.old)
        for keys in [keys for keys in origins if keys[:depth] == renaming.old]:
            origins[(*renaming.new, *keys[depth:])] = origins.pop(keys)


def _nodes(tree: Mapping[str, Any], keys: Keys = ()) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """All maps of a tree with their paths."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield (*keys, key), value
            yield from _nodes(value, (*keys, key))


def _at(tree: Mapping[str, Any], keys: Keys) -> dict[str, Any] | None:
    node: Any = tree
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _name(tree: Mapping[str, Any], below: Mapping[str, Any], keys: Keys) -> Any:
    """NAME of a node in a tree, or else in its bases."""
    nodes = (_at(each, keys) or {} for each in (tree, below))
    return next((node["NAME"] for node in nodes if "NAME" in node), None)


def _move(node: dict[str, Any], old: str, target: dict[str, Any], new: str) -> None:
    """Move a value to another key; in the same node it keeps its position."""
    if node is not target:
        target[new] = node.pop(old)
        return
    content = [(new if key == old else key, value) for key, value in node.items()]
    node.clear()
    node.update(content)
