"""YAML text to plain values and back: one safe loader for files, suites and overrides.

Scalars follow YAML 1.2: only true and false are booleans, `1e-3` is a float, null and ~ are nothing. `yes`, `no`, `on`,
`off` and `none` stay words, dates stay text and `010` is ten. Keys are always text. A key written twice is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

Keys = tuple[str, ...]

_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_NULL = re.compile(r"null|Null|NULL|~|")

_RESOLVERS = [  # the first that matches wins
    ("tag:yaml.org,2002:bool", _BOOL, "tTfF"),
    ("tag:yaml.org,2002:int", _INT, "-+0123456789"),
    ("tag:yaml.org,2002:float", _FLOAT, "-+.0123456789"),
    ("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""]),
]

_PLAIN = {"tag:yaml.org,2002:str", *(tag for tag, _, _ in _RESOLVERS)}


def _whole(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern.pattern})\Z")


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _whole(_pattern), list(_first))


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).lstrip("+")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or 1.2 would read as something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _RESOLVERS:
    _Dumper.add_implicit_resolver(_tag, _whole(_pattern), list(_first))
_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_list(value))


class LineProblem(NamedTuple):
    """What is wrong in a line of a YAML text."""

    line: int
    text: str


@dataclass
class Parsed:
    """The content of a YAML text.

    Args:
        value: The value; None for an invalid text.
        lines: Line of each key.
        problems: What is wrong, by line.
        valid: Whether the text is YAML at all; a key that is written twice is a problem of a valid text.
    """

    value: Any = None
    lines: dict[Keys, int] = field(default_factory=dict)
    problems: list[LineProblem] = field(default_factory=list)
    valid: bool = True

    def invalid(self, line: int, reason: str) -> None:
        """Record that the text is not YAML."""
        self.valid = False
        self.problems.append(LineProblem(line, f"not valid YAML: {reason}"))


def parse(text: str) -> Parsed:
    """Read one YAML document. Raises nothing: faults are in `problems`.

    >>> parse("{LR: 1e-3, NAME: none, NESTEROV: yes}").value
    {'LR': 0.001, 'NAME': 'none', 'NESTEROV': 'yes'}
    >>> parse("A: 1" + chr(10) + "A: 2").problems
    [LineProblem(line=2, text="the key 'A' is written twice (first in line 1)")]
    """
    parsed = Parsed()
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            parsed.value = _value(loader, node, (), parsed, set())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = mark.line + 1 if mark else 1
        parsed.invalid(where, _reason(error))
    except yaml.YAMLError as error:  # characters that no YAML may hold
        parsed.invalid(1, " ".join(str(error).split()))
    finally:
        if loader is not None:
            loader.dispose()
    return parsed


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = str(error.problem or error.context)
    return f"{error.context}, {reason}" if reason.startswith("but ") else reason


def _value(loader: _Loader, node: yaml.Node, path: Keys, parsed: Parsed, above: set[int]) -> Any:
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem="an alias inside what it stands for", problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, parsed, above | {id(node)})
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, path, parsed, above | {id(node)}) for item in node.value]
    if node.tag not in _PLAIN:
        raise yaml.MarkedYAMLError(problem=f"the tag {node.tag!r} is not read here", problem_mark=node.start_mark)
    try:
        return loader.construct_object(node)
    except (ValueError, KeyError, IndexError) as error:  # `!!int word`
        raise yaml.MarkedYAMLError(problem=f"{node.value!r} is not {node.tag}", problem_mark=node.start_mark) from error


def _mapping(loader: _Loader, node: yaml.MappingNode, path: Keys, parsed: Parsed, above: set[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key_node.value, Hashable):
            parsed.problems.append(LineProblem(line, "a key must be a word"))
            continue
        key = str(key_node.value)
        if key in first:
            name = ".".join((*path, key))
            text = f"the key {name!r} is written twice (first in line {first[key]})"
            parsed.problems.append(LineProblem(line, text))
            continue
        first[key] = line
        parsed.lines[(*path, key)] = line
        result[key] = _value(loader, value_node, (*path, key), parsed, above)
    return result


def dump(value: Any) -> str:
    """YAML text that `parse` reads back as the same value (tuples come back as lists).

    >>> parse(dump({"LR": 1e-5, "NAME": "none", "TEXT": "1e-3"})).value
    {'LR': 1e-05, 'NAME': 'none', 'TEXT': '1e-3'}
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
