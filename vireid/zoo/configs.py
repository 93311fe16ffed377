"""Names and files of the shipped configs."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from vireid.core.errors import UserError, nearest
from vireid.zoo.shipped import CONFIGS, shipped_path

PARTS = frozenset({"datasets", "methods", "plugins"})  # folders of configs that are not complete
DEFAULT = "sysu"  # dataset of a name without one


def config_folder() -> Path:
    """Return the folder of the shipped configs."""
    return shipped_path(CONFIGS)


def config_names(pattern: str = "*") -> list[str]:
    """Return the names of the shipped configs that match a pattern with * and ?, sorted.

    Example:
        >>> config_names("sysu/agw*")
        ['sysu/agw', 'sysu/agw_pae_aal']
    """
    folder = config_folder()
    names = (path.relative_to(folder) for path in folder.glob("*/*.yml"))
    known = sorted(str(name.with_suffix("").as_posix()) for name in names if name.parts[0] not in PARTS)
    return fnmatch.filter(known, pattern)


def config_path(name: str) -> Path:
    """Return the config file of a model.

    Args:
        name: "DATASET/METHOD", or "METHOD" for SYSU-MM01.

    Raises:
        UserError: If the model does not exist; the text has the nearest name.
    """
    known = config_names()
    whole = name if "/" in name else f"{DEFAULT}/{name}"
    if whole not in known:
        methods = [each.removeprefix(f"{DEFAULT}/") for each in known]
        raise UserError(f"model {name!r} does not exist{nearest(name, [*known, *methods])} (known: {', '.join(known)})")
    return config_folder() / f"{whole}.yml"
