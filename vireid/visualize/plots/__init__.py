"""Plots that need the model of a run."""
