"""Types, interfaces, registries, binding and errors; depends on torch, NumPy and the standard library only."""
