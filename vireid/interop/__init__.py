"""Weights of published code and other libraries."""
