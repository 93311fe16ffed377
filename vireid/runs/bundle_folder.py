"""Bundle folder: the names of its files, and its `config.json`. `embedder.bundle` writes it and reads the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import vireid
from vireid.core.errors import UserError

FORMAT = 1
MODEL, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FILES = (MODEL, CONFIG, CARD)


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json` of a bundle; UserError if it is damaged or of another format."""
    file = folder / CONFIG
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: is not readable JSON ({error}); copy the bundle again") from error
    if not isinstance(content, dict) or content.get("library") != "vireid":
        raise UserError(f"{file}: is not the config of a vireid bundle; `vireid bundle RUN --out FOLDER` writes one")
    if content.get("format") != FORMAT:
        raise UserError(
            f"{file}: is a bundle of format {content.get('format')!r}, written by vireid {content.get('version')};"
            f" this version ({vireid.__version__}) reads format {FORMAT}: install a matching version"
        )
    return content
