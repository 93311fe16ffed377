"""Resolved form of each composition in configs/, one file each in `snapshots/`.

A change of a default, a method, a dataset or a plug-in file shows in the snapshots which compositions it reaches.
Update them with `make snapshot`, or with `python tests/configs/snapshot.py --write`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vireid.config.check import static_check
from vireid.config.checked import CheckedConfig
from vireid.config.load import read_unchecked
from vireid.config.show import resolved_text, resolved_tree
from vireid.core.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SNAPSHOTS = Path(__file__).with_name("snapshots")
FRAGMENTS = ("datasets", "methods", "plugins")  # folders of files that compositions are made of


def compositions() -> list[Path]:
    """All files of configs/ that are a whole config."""
    return [file for file in sorted(CONFIGS.rglob("*.yml")) if file.relative_to(CONFIGS).parts[0] not in FRAGMENTS]


def resolvable(file: Path) -> CheckedConfig:
    """A config after the static check. The dry run is left out, because test_shipped.py makes it for each composition.

    Raises:
        ConfigError: With all problems.
    """
    static = static_check(read_unchecked(file))
    if static.problems:
        raise ConfigError(static.problems)
    return CheckedConfig(static.config, static.components, static.info)


def tree_of(name: str) -> dict[str, Any]:
    """Resolved form of a composition: `tree_of("sysu/mmd")`."""
    return resolved_tree(resolvable(CONFIGS / f"{name}.yml"))


def current() -> dict[str, str]:
    """Path below configs/ -> resolved config as YAML."""
    return {file.relative_to(CONFIGS).as_posix(): resolved_text(resolvable(file)) for file in compositions()}


def stored() -> dict[str, str]:
    """Path below snapshots/ -> content."""
    files = sorted(SNAPSHOTS.rglob("*.yml"))
    return {file.relative_to(SNAPSHOTS).as_posix(): file.read_text(encoding="utf-8") for file in files}


def write() -> None:
    """Write a snapshot of each composition and remove those of former compositions."""
    texts = current()
    for name in stored().keys() - texts.keys():
        (SNAPSHOTS / name).unlink()
    for name, text in texts.items():
        file = SNAPSHOTS / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: python {sys.argv[0]} --write")
    write()
