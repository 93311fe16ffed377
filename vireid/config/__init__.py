"""YAML to objects. The only package that imports yaml or yacs; nothing below it knows that they exist."""

from vireid.config.loader import Config, load_config

__all__ = ["Config", "load_config"]
