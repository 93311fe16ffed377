"""Config files to one frozen tree that remembers which file wrote each key.

Rules of merging (`_BASE_: file` or `_BASE_: [files]`, relative to the file that names them; later wins, the file itself
wins over its bases, the command line over all):

- maps merge key by key and keep the order in which keys were first mentioned; anything else replaces what was there;
- a node whose NAME changes loses the old component's arguments and keeps what belongs to its slot: WEIGHT, SCHEDULE and
  USES of a loss term, USES of a head, EPOCHS, LR_SCALE and SCHEDULE of the solver. (A USES that does not fit the new
  component is reported; dropping it in silence could move a term to another field. `USES: null` clears it.)
- SOLVER.LR_SCALE is replaced whole: its keys are module paths and contain dots.
- a file reached through two bases is merged both times, so that it wins over what the first of them changed; plug-ins
  therefore have no bases of their own.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from vireid.config import schema
from vireid.config.coerce import Mismatch, shown
from vireid.config.renamed import move_origins, use_current_names
from vireid.config.schema import SETTINGS
from vireid.config.yaml import Keys, parse
from vireid.core.errors import ConfigError, Problem, closest
from vireid.core.paths import normalized_path

log = logging.getLogger(__name__)

BASE = "_BASE_"
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Origin:
    """Where a key was written: a file and a line, or neither on the command line."""

    file: Path | None = None
    line: int = 0


@dataclass
class Origins:
    """Which file wrote each key, nodes as well as leaves."""

    main: Path | None = None
    written: dict[Keys, Origin] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def of(self, keys: Keys) -> Origin:
        """Origin of a key, or else of the nearest node above it that a file wrote, or else the main file."""
        for depth in range(len(keys), 0, -1):
            if keys[:depth] in self.written:
                return self.written[keys[:depth]]
        return Origin(self.main, 1)

    def place(self, keys: Keys) -> str:
        """Name of the file that wrote a key, or `command line`."""
        return self.name(self.of(keys).file)

    def name(self, file: Path | None) -> str:
        """The file's name, with as many of its folders as tell it from the other files of this config."""
        if file is None:
            return COMMAND_LINE
        others = [other.parts for other in self.files if other != file]
        for depth in range(1, len(file.parts) + 1):
            tail = file.parts[-depth:]
            if all(other[-depth:] != tail for other in others):
                return "/".join(tail)
        return str(file)


class Config(CfgNode):
    """A frozen tree of settings, `config.SOLVER.EPOCHS`, and where each came from, `config.origins`."""

    @property
    def origins(self) -> Origins:
        return self.__dict__["_origins"]

    def value(self, keys: Keys, default: Any = None) -> Any:
        """What stands at a path of keys, or the default."""
        node: Any = self
        for key in keys:
            if not isinstance(node, dict) or key not in node:
                return default
            node = node[key]
        return node

    def plain(self) -> dict[str, Any]:
        """An unfrozen copy made of plain dicts."""
        return plain(self)


def plain(value: Any) -> Any:
    """A copy with plain dicts for nodes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return copy.deepcopy(value)


def read_unchecked(path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> Config:
    """Read a config file with its bases without checking the content; `vireid.load_config` checks it as well.

    `overrides` are KEY VALUE pairs in one flat list, or a mapping. For code that reads settings of a config that is
    checked elsewhere, and for tests of single settings.

    Raises:
        ConfigError: With every fault of the files themselves: syntax, missing bases, malformed overrides.
    """
    config, problems = read_config(path, overrides)
    if problems:
        raise ConfigError(problems)
    return config


def read_config(path: str | Path, overrides: Sequence[Any] | Mapping[str, Any] = ()) -> tuple[Config, list[Problem]]:
    """Like `read_unchecked`, but returns the problems together with what could be read.

    Raises:
        ConfigError: If a file is missing or not YAML, or if bases form a cycle.
    """
    reader = _Reader()
    main = normalized_path(path)
    tree, written = reader.read(main, chain=(), spelt=str(path))
    reader.origins.main = _absolute(main)
    if reader.fatal:
        raise ConfigError(reader.located())
    over, over_written = reader.command_line(overrides, tree)
    _merge(tree, over, written, over_written, ())
    reader.origins.written = written
    for message in reader.renamed:
        log.warning("%s (the former name is read for one release)", message)
    return make_config(tree, reader.origins), reader.located()


def make_config(tree: Mapping[str, Any], origins: Origins | None = None) -> Config:
    """A frozen Config from a plain tree; fixed settings that are missing get their defaults."""
    tree = plain(tree)
    for setting in SETTINGS.values():
        node: Any = tree
        for key in setting.path[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            continue  # a section that is not a map is reported by the check
        value = node.setdefault(setting.path[-1], copy.deepcopy(setting.default))
        with contextlib.suppress(Mismatch):  # reported by the check
            node[setting.path[-1]] = setting.convert(value)
    config = Config(tree)
    config.__dict__["_origins"] = origins or Origins(Path("config"))
    config.freeze()
    return config


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


class _Reader:
    """Reads a file and its bases and collects what is wrong with them."""

    def __init__(self) -> None:
        self.origins = Origins()
        self._problems: list[tuple[Origin, Problem]] = []
        self.fatal = False
        self.renamed: dict[str, None] = {}  # messages, in order

    def located(self) -> list[Problem]:
        """The problems with their places, which are known when all files of the configuration are."""
        found = []
        for origin, problem in self._problems:
            place = self.origins.name(origin.file) + (f":{origin.line}" if origin.line else "")
            found.append(replace(problem, place=place))
        return list(dict.fromkeys(found))

    def _report(self, origin: Origin, problem: Problem | str) -> None:
        self._problems.append((origin, problem if isinstance(problem, Problem) else Problem(problem)))

    def read(self, path: Path, chain: tuple[Path, ...], spelt: str = "") -> tuple[dict[str, Any], dict[Keys, Origin]]:
        """The merged tree of a file and its bases; `chain` holds the files that led here."""
        file = _absolute(path)
        if file in chain:
            circle = [*chain[chain.index(file) :], file]
            names = " -> ".join(self.origins.name(member) for member in circle)
            self._stop(chain[-1], 0, f"{BASE} runs in a circle: {names}")
            return {}, {}
        if file not in self.origins.files:
            self.origins.files.append(file)
        text = self._text(Path(spelt or path), file, chain)
        if text is None:
            return {}, {}
        parsed = parse(text)
        for problem in parsed.problems:
            self._report(Origin(file, problem.line), problem.text)
        self.fatal |= not parsed.valid
        own = {} if parsed.value is None else parsed.value
        if not isinstance(own, dict):
            self._stop(file, 1, f"a config is a map of settings, not {shown(own)}")
            return {}, {}
        tree: dict[str, Any] = {}
        written: dict[Keys, Origin] = {}
        for base in self._bases(own.pop(BASE, []), file, parsed.lines.get((BASE,), 0)):
            base_tree, base_written = self.read(normalized_path(base, file.parent), (*chain, file), base)
            _merge(tree, base_tree, written, base_written, ())
        origins = {keys: Origin(file, line) for keys, line in parsed.lines.items() if keys[0] != BASE}
        self._current_names(own, origins, tree)
        _merge(tree, own, written, origins, ())
        return tree, written

    def _bases(self, value: Any, file: Path, line: int) -> list[str]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._stop(file, line, f"{BASE} = {shown(value)} is not a file name or a list of file names")
            return []
        return names

    def _text(self, path: Path, file: Path, chain: tuple[Path, ...]) -> str | None:
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            self._stop(file, 0, "is not text (UTF-8)")
        except OSError as error:
            problem = _unreadable(path, file, error)
            if not chain:
                raise ConfigError([problem]) from None
            self._stop(chain[-1], 0, replace(problem, key=f"{BASE}:"))
        return None

    def _current_names(self, tree: dict[str, Any], written: dict[Keys, Origin], below: Mapping[str, Any]) -> None:
        """Rewrite former names of keys and components; each is logged once for each place."""
        renamings, problems = use_current_names(tree, below)
        for keys, problem in problems:
            self._report(written.get(keys, Origin()), problem)
        for renaming in renamings:
            origin = written.get(renaming.old, Origin())
            place = self.origins.name(origin.file) + (f":{origin.line}" if origin.line else "")
            self.renamed[f"{place}: {renaming.message}"] = None
        move_origins(written, renamings)

    def _stop(self, file: Path, line: int, problem: Problem | str) -> None:
        self.fatal = True
        self._report(Origin(file, line), problem)

    def command_line(
        self, overrides: Sequence[Any] | Mapping[str, Any], below: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[Keys, Origin]]:
        """The tree that overrides write; among equal keys the last wins."""
        typed = not isinstance(overrides, Mapping)
        pairs = self._pairs(list(overrides)) if typed else list(overrides.items())
        tree: dict[str, Any] = {}
        for key, value in pairs:
            keys = tuple(str(key).split("."))
            if typed and isinstance(value, str):
                parsed = parse(value)
                if parsed.problems:
                    self._report(Origin(), f"{key} = {value!r}: {parsed.problems[0].text}")
                    continue
                value = parsed.value
            if not all(keys):
                self._report(Origin(), f"{key!r} is not a key; write it as in MODEL.POOL.NAME")
            elif keys == (BASE,):
                self._report(Origin(), f"{BASE} belongs in a file")
            elif self._reachable(keys, below):
                _set(tree, keys, value)
        written = {keys: Origin() for keys in _paths(tree)}
        self._current_names(tree, written, below)
        return tree, written

    def _pairs(self, words: list[Any]) -> list[tuple[str, Any]]:
        if len(words) % 2:
            last = str(words.pop())
            key, _, value = last.partition("=")
            hint = f"write: {key} {value}" if value else f"write: {last} VALUE"
            self._report(Origin(), f"overrides are KEY VALUE pairs, and {last!r} stands alone ({hint})")
        return list(zip(words[::2], words[1::2], strict=True))

    def _reachable(self, keys: Keys, below: Mapping[str, Any]) -> bool:
        """Refuse to write under a plain value or into a map that is only given whole."""
        name = ".".join(keys)
        node: Any = below
        for depth in range(1, len(keys)):
            node = node.get(keys[depth - 1]) if isinstance(node, Mapping) else None
            above = ".".join(keys[:depth])
            if schema.is_whole(keys[:depth]):
                rest = ".".join(keys[depth:])
                self._report(Origin(), f"{name}: this map is given whole, as in {above} '{{{rest}: ...}}'")
                return False
            if node is not None and not isinstance(node, Mapping):
                self._report(Origin(), f"{name} is not a setting: {above} = {shown(node)} holds no keys")
                return False
        return True


def _unreadable(spelled: Path, file: Path, error: OSError) -> Problem:
    """Why a file cannot be read, with the nearest one that can."""
    if file.is_dir():
        inside = sorted(child.name for child in file.glob("*.yml"))
        return Problem(f"{spelled} is a folder", note=f"(it holds: {', '.join(inside)})" if inside else "")
    if file.exists():
        return Problem(f"{spelled} cannot be read: {error.strerror}")
    folder = file.parent
    if not folder.is_dir():
        return Problem(f"{spelled} does not exist: there is no folder {spelled.parent}")
    files = [child.name for child in folder.iterdir() if child.is_file()]
    return Problem(f"{spelled} does not exist", suggestion=closest(file.name, files))


def _set(tree: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    tree[keys[-1]] = plain(value)


def _paths(tree: Mapping[str, Any], above: Keys = ()) -> Iterable[Keys]:
    for key, value in tree.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))


def _merge(
    tree: dict[str, Any],
    child: Mapping[str, Any],
    written: dict[Keys, Origin],
    child_written: Mapping[Keys, Origin],
    path: Keys,
) -> None:
    """Write `child` over `tree`, and where each key came from."""
    if "NAME" in child and "NAME" in tree and child["NAME"] != tree["NAME"]:
        slot = schema.slot_of_node(path)
        for key in [key for key in tree if key != "NAME" and not (slot and key in slot.extras)]:
            del tree[key]
            _forget(written, (*path, key))
    for key, value in child.items():
        keys = (*path, key)
        if keys in child_written:
            written[keys] = child_written[keys]
        if isinstance(value, dict) and isinstance(tree.get(key), dict) and not schema.is_whole(keys):
            _merge(tree[key], value, written, child_written, keys)
            continue
        _forget(written, keys)
        written.update({k: origin for k, origin in child_written.items() if k[: len(keys)] == keys})
        tree[key] = plain(value)


def _forget(written: dict[Keys, Origin], keys: Keys) -> None:
    for known in [known for known in written if known[: len(keys)] == keys]:
        del written[known]
