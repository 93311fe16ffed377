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
from vireid.data.images.digests import file_states
from vireid.data.rows import row_of
from vireid.runs.inputs import MISSING, RunInputs
from vireid.runs.listing_record import record_listing


def run_inputs(config: Config, training: Sequence[Sample], test: Sequence[Sample]) -> RunInputs:
    """What a run of this config with these listings is made from, now.

    Images are read for their digests, except those that the list of digests in CACHE_DIR has unchanged.
    """
    roots, digests = data_folders(config), _digests(config, [*training, *test])
    return RunInputs(
        training=record_listing(training, roots, digests and digests[: len(training)]),
        test=record_listing(test, roots, digests and digests[len(training) :]),
        plugins=plugin_digests(config),
        files=file_digests(config),
    )


def _digests(config: Config, samples: Sequence[Sample]) -> list[str] | None:
    """Content digests of the images; None for rows of arrays, and where an image cannot be read (training says why)."""
    if any(row_of(sample.path) is not None for sample in samples):
        return None
    states, unreadable = file_states([str(sample.path) for sample in samples], normalized_path(config.CACHE_DIR))
    return None if unreadable else [state.digest for state in states]


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
