"""vireid: visible-infrared person re-identification, composed from parts by config.

`vireid.Experiment`, `vireid.load`, `vireid.create_model`, `vireid.load_config` and the other public names are imported
on first use, so that `import vireid` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Experiment": "vireid.experiment.experiment",
    "Embedder": "vireid.embedder.embedder",
    "load": "vireid.embedder.loading",
    "save_bundle": "vireid.embedder.loading",
    "from_hub": "vireid.embedder.sharing",
    "pull_from_hub": "vireid.embedder.sharing",
    "push_to_hub": "vireid.embedder.sharing",
    "load_config": "vireid.config.check",
    "evaluate_retrieval": "vireid.evaluation",
    "evaluate_distances": "vireid.evaluation",
    "create_model": "vireid.zoo.models",
    "list_models": "vireid.zoo.models",
}
__all__ = [
    "Embedder",
    "Experiment",
    "__version__",
    "create_model",
    "evaluate_distances",
    "evaluate_retrieval",
    "from_hub",
    "list_models",
    "load",
    "load_config",
    "pull_from_hub",
    "push_to_hub",
    "save_bundle",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vireid' has no attribute {name!r} (it has: {', '.join(__all__)})")


def __dir__() -> list[str]:
    return sorted(__all__)
