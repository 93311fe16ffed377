"""Loss terms and the objective that sums them. Each term is an ordinary module that asks for fields by name."""

from vireid.losses import (
    attributes,
    centers,
    confusion,
    diversity,
    graph,
    identity,
    memory,
    mmd,
    mutual,
    objective,
    parts,
    patterns,
    schedules,
    soft_targets,
    triplet,
)

__all__ = [
    "attributes",
    "centers",
    "confusion",
    "diversity",
    "graph",
    "identity",
    "memory",
    "mmd",
    "mutual",
    "objective",
    "parts",
    "patterns",
    "schedules",
    "soft_targets",
    "triplet",
]
