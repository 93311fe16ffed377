"""Snapshot of the public API: `api.txt` in this folder.

It lists the names in `__all__` of each package (functions with their signatures) and every registered class with the
signature of its constructor. A difference from the code is either a mistake or a change that users must read about in
CHANGELOG.md. Update the file with `make snapshot`, or with `python tests/architecture/snapshot.py --write`.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import vireid
from vireid.core import registries

FILE = Path(__file__).with_name("api.txt")
HEADER = "# Public API of vireid: exported names, then registered classes. Written by `make snapshot`.\n"


class Source(str):
    """Text that `repr` returns without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def signature(target: Callable[..., Any]) -> str:
    """Parameters with annotations and defaults, as in the source.

    A constructor that is inherited from outside of vireid, such as that of `nn.Module`, counts as one without
    parameters, because its signature depends on the version of the other library.
    """
    is_class = inspect.isclass(target)
    if is_class:
        home = next(base for base in target.__mro__ if "__init__" in vars(base))
        if home.__module__.split(".")[0] != target.__module__.split(".")[0]:
            return "()"
    original = inspect.signature(target)
    parameters = [
        parameter.replace(annotation=_annotation(parameter.annotation), default=_default(parameter.default))
        for parameter in original.parameters.values()
    ]
    result = inspect.Signature.empty if is_class else _annotation(original.return_annotation)
    return str(inspect.Signature(parameters, return_annotation=result))


def _annotation(value: Any) -> Any:
    return Source(value) if isinstance(value, str) else value  # a string, as everywhere with `annotations` imported


def _default(value: Any) -> Any:
    return Source(value.__name__) if inspect.isfunction(value) else value


def packages() -> Iterator[str]:
    """`vireid` and all packages below it."""
    yield "vireid"
    yield from (info.name for info in pkgutil.walk_packages(vireid.__path__, "vireid.") if info.ispkg)


def exported() -> Iterator[str]:
    """One line for each name in `__all__` of a package."""
    for package in packages():
        module = import_module(package)
        for name in sorted(getattr(module, "__all__", ())):
            value = getattr(module, name)
            yield f"{package}.{name}{signature(value) if inspect.isfunction(value) else ''}"


def registered() -> Iterator[str]:
    """One line for each class of vireid in a registry; classes that a plug-in has registered are left out."""
    for registry_name, registry in sorted(registries.ALL.items()):
        for name in registry:
            target = registry.get(name).target
            if target.__module__.startswith("vireid."):
                yield f"{registry_name}.{name}{signature(target)}"


def current() -> str:
    """The snapshot of the code."""
    lines = [*sorted(exported()), "", *registered()]  # importing all packages fills the registries
    return HEADER + "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(current(), encoding="utf-8")
    else:
        sys.exit(f"usage: python {sys.argv[0]} --write")
