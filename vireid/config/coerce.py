"""Conversion of values from YAML to the annotated types of constructor parameters."""

from __future__ import annotations

import collections.abc as abc
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from vireid.core.errors import closest, did_you_mean

_UNIONS = (Union, types.UnionType)
_SEQUENCES = (list, abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence)
_SETS = (set, frozenset, abc.Set)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
_WORDS: dict[Any, tuple[str, str]] = {  # one and several
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false values"),
    str: ("a word", "words"),
    Path: ("a path", "paths"),
    type(None): ("null", "nulls"),
}


class Mismatch(Exception):
    """A value does not fit an annotation.

    Attributes:
        text: Continues the sentence `KEY = value ...`.
        suggestion: Nearest valid word.
    """

    def __init__(self, text: str, suggestion: str | None = None) -> None:
        self.text, self.suggestion = text, suggestion
        super().__init__(text + did_you_mean(suggestion))


def convert(value: Any, annotation: Any) -> Any:
    """Convert a value to the type of an annotation.

    A integer is accepted for a float, a list for a tuple, and the word `none` for None where None is allowed.
    True and false are not numbers. An annotation without a rule for plain values accepts all of them.

    Raises:
        Mismatch: If the value does not fit.

    >>> convert([20, 50], tuple[int, ...]), convert(1, float), convert("none", str | None)
    ((20, 50), 1.0, None)
    >>> convert("predict", Literal["labels", "predicted"])
    Traceback (most recent call last):
    ...
    vireid.config.coerce.Mismatch: is not one of ('labels', 'predicted'); did you mean 'predicted'?
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return convert(value, get_args(annotation)[0])
    if origin is Literal:
        return _literal(value, get_args(annotation))
    if origin in _UNIONS:
        return _union(value, annotation)
    if annotation in _WORDS or annotation is None:
        return _scalar(value, type(None) if annotation is None else annotation, annotation)
    base = origin or annotation
    if base is tuple:
        return _tuple(value, annotation)
    if base in _SEQUENCES:
        return [_item(v, annotation, value) for v in _list(value, annotation)]
    if base in _SETS:
        return frozenset(_item(v, annotation, value) for v in _list(value, annotation))
    if base in _MAPPINGS:
        return _mapping(value, annotation)
    return _other(value, annotation)


def describe(annotation: Any, *, several: bool = False) -> str:
    """What an annotation accepts, in words.

    >>> describe(tuple[int, int]), describe(float | None), describe(list[str])
    ('a list of 2 integers', 'a number or null', 'a list of words')
    >>> describe(tuple[tuple[int, int], ...])
    'a list of lists of 2 integers'
    """
    if get_origin(annotation) is Annotated:
        return describe(get_args(annotation)[0], several=several)
    a_list = "lists" if several else "a list"
    if annotation in _WORDS:
        return _WORDS[annotation][several]
    origin, arguments = get_origin(annotation), get_args(annotation)
    base = origin or annotation
    if base in _UNIONS:
        return " or ".join(describe(a, several=several) for a in arguments)
    if base is Literal:
        return f"one of {arguments}"
    if base is tuple and arguments and arguments[-1] is not Ellipsis:
        kinds = set(arguments)
        if len(kinds) == 1:
            return f"{a_list} of {len(arguments)} {describe(arguments[0], several=True)}"
        return f"{a_list} of {len(arguments)}: {', '.join(describe(a) for a in arguments)}"
    if base is tuple or base in _SEQUENCES or base in _SETS:
        return f"{a_list} of {describe(arguments[0], several=True)}" if arguments else a_list
    if base in _MAPPINGS:
        return f"a map of {describe(arguments[1], several=True)}" if len(arguments) > 1 else "a map"
    return getattr(annotation, "__name__", str(annotation))


def shown(value: Any) -> str:
    """A value as a config writes it, words in quotation marks.

    >>> shown(None), shown(True), shown("GeM"), shown((1, 2)), shown({"backbone": 0.1})
    ('null', 'true', "'GeM'", '[1, 2]', '{backbone: 0.1}')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, abc.Mapping):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value)


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a constructor or function, evaluated; Any where one cannot be evaluated here."""
    function = target.__init__ if isinstance(target, type) else target
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # a name that exists only while type checking: that parameter is not checked
        hints = {}
        for name, annotation in getattr(function, "__annotations__", {}).items():
            hints[name] = _evaluate(annotation, getattr(function, "__globals__", {}))
        return hints


def _evaluate(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))  # source code of a registered class, not text of a user
    except Exception:
        return Any


def _wrong(annotation: Any) -> Mismatch:
    return Mismatch(f"is not {describe(annotation)}")


def _scalar(value: Any, kind: type, annotation: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(annotation)
    if kind is float and math.isnan(value):
        raise _wrong(annotation)
    if kind is float and math.isinf(value):
        raise Mismatch("is not finite")
    return value


def _literal(value: Any, allowed: tuple[Any, ...]) -> Any:
    for option in allowed:
        if value == option and type(value) is type(option):
            return option
    if value == "none" and None in allowed:
        return None
    raise Mismatch(f"is not one of {allowed}", closest(value, allowed) if isinstance(value, str) else None)


def _union(value: Any, annotation: Any) -> Any:
    members = get_args(annotation)
    results, faults = [], []
    for member in members:
        try:
            results.append(convert(value, member))
        except Mismatch as fault:
            faults.append((member, fault))
    if value == "none" and type(None) in members:
        named = any(get_origin(member) is Literal and "none" in get_args(member) for member in members)
        return "none" if named else None
    for result in results:
        if type(result) is type(value):
            return result
    if results:
        return results[0]
    telling = [fault for member, fault in faults if get_origin(member) is Literal]
    if len(telling) == 1 and len(members) == 2 and type(None) in members:
        raise telling[0]
    raise _wrong(annotation)


def _list(value: Any, annotation: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(annotation)
    return list(value)


def _item(value: Any, annotation: Any, whole: Any) -> Any:
    arguments = get_args(annotation)
    if not arguments:
        return value
    try:
        return convert(value, arguments[0])
    except Mismatch as fault:
        raise (fault if get_origin(arguments[0]) is Literal and len(whole) == 1 else _wrong(annotation)) from None


def _tuple(value: Any, annotation: Any) -> tuple[Any, ...]:
    items, arguments = _list(value, annotation), get_args(annotation)
    if not arguments:
        return tuple(items)
    if arguments[-1] is Ellipsis:
        return tuple(_item(v, annotation, value) for v in items)
    if len(items) != len(arguments):
        raise _wrong(annotation)
    try:
        return tuple(convert(v, a) for v, a in zip(items, arguments, strict=True))
    except Mismatch:
        raise _wrong(annotation) from None


def _mapping(value: Any, annotation: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(annotation)
    arguments = get_args(annotation)
    if len(arguments) < 2:
        return dict(value)
    try:
        return {convert(k, arguments[0]): convert(v, arguments[1]) for k, v in value.items()}
    except Mismatch:
        raise _wrong(annotation) from None


def _other(value: Any, annotation: Any) -> Any:
    if not isinstance(annotation, type):  # Any, a type variable, a callable: nothing to hold a plain value against
        return value
    try:
        fits = isinstance(value, annotation)
    except TypeError:  # a protocol that cannot be asked at run time
        return value
    if not fits:
        raise _wrong(annotation)
    return value
