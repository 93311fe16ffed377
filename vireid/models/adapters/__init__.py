"""Adapters: between backbone and heads, they hand on a re-weighted map."""

from vireid.models.adapters import progressive, released, stages

__all__ = ["progressive", "released", "stages"]
