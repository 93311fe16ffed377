"""Configurations: YAML files to checked settings and components, and from these to objects.

The only package that imports yaml or yacs; no package below it depends on them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vireid.config.build import Build
    from vireid.config.check import check_config, load_checked, load_config
    from vireid.config.checked import CheckedConfig
    from vireid.config.load import Config

_MODULES = {
    "Build": "vireid.config.build",
    "CheckedConfig": "vireid.config.checked",
    "Config": "vireid.config.load",
    "check_config": "vireid.config.check",
    "load_checked": "vireid.config.check",
    "load_config": "vireid.config.check",
}
__all__ = ["Build", "CheckedConfig", "Config", "check_config", "load_checked", "load_config"]


def __getattr__(name: str) -> Any:
    """Import on first use: the check imports torch and every registered component."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'vireid.config' has no attribute {name!r}")
