"""Files that are shipped with the package: configs, suites, published numbers and the results of the model zoo.

An installed package has them in its folder (`vireid/configs`, `vireid/benchmarks`), a checkout in its root.
"""

from __future__ import annotations

from pathlib import Path

from vireid.core.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = "configs"
SUITES = "benchmarks/suites"
PUBLISHED = f"{SUITES}/reported.yml"
ZOO_RESULTS = "benchmarks/results/zoo/results.json"


def shipped_path(relative: str) -> Path:
    """Return a shipped file or folder.

    Args:
        relative: Path in a checkout, such as "configs/sysu".

    Raises:
        UserError: If it is missing, which means that the installation is incomplete.
    """
    places = [root / relative for root in (PACKAGE, PACKAGE.parent)]
    for place in places:
        if place.exists():
            return place
    raise UserError(f"{relative} is missing in {places[0].parent} and in {places[1].parent}; install vireid again")


def in_checkout() -> bool:
    """Whether the package is imported from a checkout of the repository."""
    return (PACKAGE.parent / "setup.py").is_file() and not (PACKAGE / CONFIGS).exists()
