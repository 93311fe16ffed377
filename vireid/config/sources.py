"""What a config names on disk: digests of its input files, folders of its dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vireid.config.builder import Part, path_arguments
from vireid.config.defaults import SETTINGS
from vireid.config.imports import plugin_digests
from vireid.config.load import Config
from vireid.config.plan import make_plan
from vireid.core.errors import UserError
from vireid.core.io import content_digest
from vireid.core.paths import PathMark, normalized_path, path_mark
from vireid.core.types import Sample
from vireid.runs.inputs import MISSING, RunInputs
from vireid.runs.listing_record import record_listing


def run_inputs(config: Config, training: Sequence[Sample], test: Sequence[Sample]) -> RunInputs:
    """What a run of this config with these listings is made from, now."""
    roots = data_folders(config)
    return RunInputs(
        training=record_listing(training, roots),
        test=record_listing(test, roots),
        plugins=plugin_digests(config),
        files=file_digests(config),
    )


def file_digests(config: Config) -> dict[str, str]:
    """Digests of the files whose content results depend on, by config key: WEIGHTS, DATA.ATTRIBUTES, ...

    Parameters of plug-ins count where their annotation is `Path` or `vireid.core.paths.InputFile`.
    Raises UserError for a file that cannot be read.
    """
    found = {}
    for key, value, mark in path_values(config):
        if not mark.content:
            continue
        path = normalized_path(value)
        try:
            found[key] = content_digest(path) or MISSING
        except OSError as error:
            raise UserError(f"{key}: {path} cannot be read ({error.strerror or error})") from error
    return found


def data_folders(config: Config) -> list[Path]:
    """Folders that DATA names; paths of images are recorded relative to them."""
    keys = {key: value for key, value, mark in path_values(config) if key.startswith("DATA.") and not mark.content}
    return [normalized_path(value) for value in keys.values()]


def path_values(config: Config) -> Iterator[tuple[str, str, PathMark]]:
    """Every path of a config: its key, what the user wrote, and how it is marked."""
    for setting in SETTINGS.values():
        value, mark = config.value(setting.path), path_mark(setting.kind)
        if mark is not None and value is not None:
            yield setting.key, str(value), mark
    for part in make_plan(config).parts.values():
        yield from _of_part(part)


def _of_part(value: Any) -> Iterator[tuple[str, str, PathMark]]:
    if isinstance(value, Part):
        for name, mark in path_arguments(value).items():
            yield f"{value.key}.{name.upper()}", str(value.arguments[name]), mark
        for inner in (*value.arguments.values(), *value.extras.values()):
            yield from _of_part(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _of_part(inner)
