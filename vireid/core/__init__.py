"""Types, registries and binding: torch, numpy and the standard library only."""
