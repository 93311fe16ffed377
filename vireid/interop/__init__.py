"""Convert weights of published code and other libraries."""
