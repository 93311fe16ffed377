"""Every shipped config with one fault put into it, by a seed.

The configs are found by looking, so that a new one is mutated from the day it is shipped. A file that is a part of
others (a data set, a method, a plug-in) is mutated where it stands and read through a composition that uses it.
"""

from __future__ import annotations

import os
import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from vireid.config import schema
from vireid.config.coerce import hints_of
from vireid.config.load import BASE, Config, read_unchecked
from vireid.config.yaml import dump, parse
from vireid.core import registries
from vireid.core.registry import Registry

Keys = tuple[str, ...]
PARTS = ("datasets", "methods", "plugins")
SECTIONS = ((), ("MODEL",))  # maps of settings and slots: nobody may call a key of these as he likes
TWICE = "__TWICE"


@dataclass(frozen=True)
class Source:
    """A file that is mutated, and a composition through which it is read: the file itself, or one that uses it."""

    file: Path
    through: Path
    tree: dict[str, Any]  # of the file alone
    config: Config  # of the composition, before anything was put in

    def reaches(self, keys: Keys) -> bool:
        """Whether a key of the file is one of the composition's: another class in a later file drops the arguments."""
        names = [(at(self.tree, keys[:depth]).get("NAME"), at(self.config, keys[:depth])) for depth in range(len(keys))]
        same = all(name is None or name == node.get("NAME") for name, node in names)
        return same and keys[-1] in at(self.config, keys[:-1])

    def decides(self, keys: Keys) -> bool:
        """Whether what the file says at a key is what counts in the composition."""
        return self.config.origins.of(keys).file == self.file


@dataclass(frozen=True)
class Mutant:
    """A fault: the text that the file gets, and words of which the complaint must name at least one."""

    kind: str
    source: Source
    text: str
    change: str  # for a reader
    named: tuple[str, ...]


def copy_configs(configs: Path, to: Path) -> dict[Path, list[Source]]:
    """The shipped configs below another folder, on a backbone that is built quickly; each file with its readers."""
    for file in sorted(configs.rglob("*.yml")):
        copy = to / file.relative_to(configs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"\bARCH: *(?!vit_)[\w.]+", "ARCH: resnet10t", text)
        copy.write_text(re.sub(r"\bARCH: *vit_[\w.]+", "ARCH: test_vit", text), encoding="utf-8")
    files = sorted(to.rglob("*.yml"))
    compositions = [file for file in files if file.relative_to(to).parts[0] not in PARTS]
    loaded = {file: read_unchecked(file) for file in compositions}
    sources = {}
    for file in files:
        tree = parse(file.read_text(encoding="utf-8")).value
        users = [file] if file in compositions else [user for user in compositions if uses(loaded[user], file)]
        if users:
            sources[file] = [Source(file, user, tree, loaded[user]) for user in users]
    return sources


def uses(config: Config, file: Path) -> bool:
    return file in config.origins.files


def mutants(sources: dict[Path, list[Source]], number: int, seed: int = 0) -> Iterator[Mutant]:
    """`number` mutants: the kinds in turn, for each kind one file after the other."""
    draw, files = random.Random(seed), list(sources)
    names = list(KINDS)
    for made in range(number):
        kind = names[made % len(names)]
        start = made // len(names) + made % len(names) * len(files) // len(names)  # the kinds begin apart
        for step in range(len(files)):  # a file that has nothing of the kind is passed over
            readers = sources[files[(start + step) % len(files)]]
            tries = (KINDS[kind](draw, draw.choice(readers), kind) for _ in range(40))
            mutant = next(filter(None, tries), None)
            if mutant is not None:
                yield mutant
                break
        else:
            raise AssertionError(f"no shipped config can have the fault {kind!r}")


# -- looking at a tree -------------------------------------------------------------------------------------------------


def nodes(tree: dict[str, Any], above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every key of a tree with its value, `_BASE_` left out."""
    for key, value in tree.items():
        if (*above, key) != (BASE,):
            yield (*above, key), value
            if isinstance(value, dict):
                yield from nodes(value, (*above, key))


def at(tree: dict[str, Any], keys: Keys) -> Any:
    for key in keys:
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    return tree


def copied(tree: Any) -> Any:
    return {key: copied(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def changed(tree: dict[str, Any], keys: Keys, value: Any) -> dict[str, Any]:
    tree = copied(tree)
    at(tree, keys[:-1])[keys[-1]] = value
    return tree


def renamed(tree: dict[str, Any], keys: Keys, name: str) -> dict[str, Any]:
    tree = copied(tree)
    node = at(tree, keys[:-1])
    items = [(name if key == keys[-1] else key, value) for key, value in node.items()]
    node.clear()
    node.update(items)
    return tree


def without(tree: dict[str, Any], keys: Keys) -> dict[str, Any]:
    tree = copied(tree)
    del at(tree, keys[:-1])[keys[-1]]
    return tree


def is_entry(source: Source, keys: Keys) -> bool:
    """Whether a key is the free name of an entry: of a slot that is a map, or of a map inside a component."""
    above = at(source.config, keys[:-1])
    return keys[:-1] not in SECTIONS and "NAME" not in above


def dotted(keys: Keys) -> str:
    return ".".join(keys)


def spoken_of(keys: Keys) -> tuple[str, ...]:
    """How a value is named: by its key, or by what a constructor or a whole map says about the node above."""
    return dotted(keys), f"{dotted(keys[:-1])} (", f"{dotted(keys[:-1])} = "


def misspelt(draw: random.Random, word: str) -> str:
    """One letter left out, doubled, replaced or put in, or two swapped."""
    place, letter = draw.randrange(len(word)), draw.choice(string.ascii_uppercase)
    left, here, right = word[:place], word[place], word[place + 1 :]
    swapped = left + right[:1] + here + right[1:]
    options = [left + right, left + here * 2 + right, left + letter + right, left + here + letter + right, swapped]
    return draw.choice([option for option in options if option != word])


# -- the kinds ---------------------------------------------------------------------------------------------------------


def typo(draw: random.Random, source: Source, kind: str) -> Mutant | None:
    """A key with one letter wrong. Entries that bring their class along may be called anything."""
    keys, value = draw.choice(list(nodes(source.tree)))
    wrong = misspelt(draw, keys[-1])
    free = is_entry(source, keys) and isinstance(value, dict) and "NAME" in value
    if (
        free
        or not wrong
        or wrong in at(source.config, keys[:-1])
        or is_user_map(source, keys)
        or not source.reaches(keys)
    ):
        return None
    named = (dotted((*keys[:-1], wrong)), repr(wrong))
    return Mutant(kind, source, dump(renamed(source.tree, keys, wrong)), f"{dotted(keys)} -> {wrong}", named)


def is_user_map(source: Source, keys: Keys) -> bool:
    """Whether a key lies in a map of plain values whose words are the user's own (COLUMNS of a CSV file)."""
    value = at(source.config, keys[:-1])
    plain = isinstance(value, dict) and not any(isinstance(item, dict) for item in value.values())
    return keys[:-1] not in SECTIONS and plain and "NAME" not in value and not schema.is_whole(keys[:-1])


def wrong_type(draw: random.Random, source: Source, kind: str) -> Mutant | None:
    """A plain value of a kind that the key cannot take."""
    keys, value = draw.choice(list(nodes(source.tree)))
    choices: dict[type, list[Any]] = {
        bool: ["yes", 3, [True]],
        int: ["many", [1], True, {"A": 1}],
        float: ["much", [0.5], False, {"A": 0.5}],
        str: [7, [7], True],
        list: ["word", 7, {"A": 1}],
        dict: ["word", 7, [1, 2]],
        type(None): [{"A": {"B": 1}}],
    }
    if not source.decides(keys):
        return None
    wrong = draw.choice(choices[type(value)])
    return Mutant(kind, source, dump(changed(source.tree, keys, wrong)), f"{dotted(keys)} = {wrong!r}", spoken_of(keys))


def out_of_range(draw: random.Random, source: Source, kind: str) -> Mutant | None:
    """A number that the key cannot take, or a word that is none of its choices."""
    keys, value = draw.choice(list(nodes(source.tree)))
    if not source.decides(keys) or type(value) not in OUTSIDE:
        return None
    if isinstance(value, str) and not has_choices(source, keys):
        return None
    wrong = draw.choice(OUTSIDE[type(value)])
    if keys[-1] == "WEIGHT" and wrong == -0.5:  # a term may be driven up as well
        return None
    change = f"{dotted(keys)} = {wrong}"
    return Mutant(kind, source, dump(changed(source.tree, keys, wrong)), change, spoken_of(keys))


OUTSIDE: dict[type, list[Any]] = {
    int: [-7],
    float: [-0.5, float("nan"), float("inf"), -float("inf")],
    str: ["no_such_choice"],
}


def has_choices(source: Source, keys: Keys) -> bool:
    """Whether the constructor that gets the value takes some words only."""
    name, parameter = at(source.config, keys[:-1]).get("NAME"), keys[-1].lower()
    known = [each for each in vars(registries).values() if isinstance(each, Registry) and name in each]
    return any(get_origin(hints_of(each.get(name).target).get(parameter)) is Literal for each in known)


def duplicate(draw: random.Random, source: Source, kind: str) -> Mutant | None:
    """A key that is written twice in one map."""
    keys, value = draw.choice(list(nodes(source.tree)))
    tree = copied(source.tree)
    at(tree, keys[:-1])[keys[-1] + TWICE] = copied(value)
    text = dump(tree).replace(TWICE, "")
    (line, _), *_ = parse(text).problems
    return Mutant(
        kind, source, text, f"{dotted(keys)} twice", (f"{source.file.name}:{line}: the key {dotted(keys)!r}",)
    )


def bases(tree: dict[str, Any]) -> list[str]:
    value = tree.get(BASE, [])
    return [value] if isinstance(value, str) else value


def missing_base(draw: random.Random, source: Source, kind: str) -> Mutant:
    """A base that is not there: misspelt, or of a folder that is not there."""
    names = bases(source.tree) or ["../methods/mmd.yml"]
    place = draw.randrange(len(names))
    folder, _, file = names[place].rpartition("/")
    wrong = draw.choice([f"{folder}/{misspelt(draw, file[:-4])}.yml".lstrip("/"), f"no_such_folder/{file}"])
    names = [*names[:place], wrong, *names[place + 1 :]]
    text = dump({BASE: names, **without_base(source.tree)})
    return Mutant(kind, source, text, f"{BASE} {wrong}", (wrong,))


def circular_base(draw: random.Random, source: Source, kind: str) -> Mutant:
    """A file that is its own base, at once or through the composition that reads it."""
    inside = [draw.choice([source.file.name, os.path.relpath(source.through, source.file.parent)]), *bases(source.tree)]
    text = dump({BASE: draw.sample(inside, len(inside)), **without_base(source.tree)})
    return Mutant(kind, source, text, f"{BASE} {inside[0]}", (f"{BASE} runs in a circle: ",))


def without_base(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != BASE}


def removed_component(draw: random.Random, source: Source, kind: str) -> Mutant | None:
    """A class that is no more, a node without its class, or a slot that must not be empty and is."""
    keys, value = draw.choice(list(nodes(source.tree)))
    if not isinstance(value, dict) or value.get("NAME", "none") == "none":
        return None
    way = draw.choice(["class", "name", "none"])
    name = (*keys, "NAME")
    if way == "class" and source.decides(name):
        wrong = draw.choice([f"Former{value['NAME']}", misspelt(draw, value["NAME"])])
        return Mutant(
            kind, source, dump(changed(source.tree, name, wrong)), f"{dotted(name)} = {wrong}", (repr(wrong),)
        )
    spoken = source.decides(keys) or any(source.decides((*keys, key)) for key in value if key != "NAME")
    if way == "name" and spoken and not has_name_elsewhere(source, keys):
        return Mutant(kind, source, dump(without(source.tree, name)), f"{dotted(name)} removed", (dotted(keys),))
    slot = schema.BY_PATH.get(keys)
    if way == "none" and slot is not None and slot.required and source.decides(name):
        return Mutant(
            kind, source, dump(changed(source.tree, keys, {"NAME": "none"})), f"{dotted(keys)} = none", (dotted(name),)
        )
    return None


def has_name_elsewhere(source: Source, keys: Keys) -> bool:
    """Whether another file of the composition names a class at this place as well."""
    files = [file for file in source.config.origins.files if file != source.file]
    others = [parse(file.read_text(encoding="utf-8")).value or {} for file in files]
    return any("NAME" in at(other, keys) for other in others)


KINDS: dict[str, Callable[[random.Random, Source, str], Mutant | None]] = {
    "typo in a key": typo,
    "wrong type": wrong_type,
    "out-of-range value": out_of_range,
    "duplicate key": duplicate,
    "missing base": missing_base,
    "circular base": circular_base,
    "removed component": removed_component,
}
