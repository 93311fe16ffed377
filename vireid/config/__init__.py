"""YAML to objects. The only package that imports yaml or yacs; nothing below it knows that they exist."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vireid.config.assemble import load_config
    from vireid.config.load import Config

_HOMES = {"Config": "vireid.config.load", "load_config": "vireid.config.assemble"}
__all__ = ["Config", "load_config"]


def __getattr__(name: str) -> Any:
    """Import on first use: the check builds networks, and therefore imports torch and every registered part."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vireid.config' has no attribute {name!r}")
