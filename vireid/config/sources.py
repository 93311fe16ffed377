"""Files and folders that a configuration names: digests of its input files, folders of its dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vireid.config.checked import CheckedConfig
from vireid.config.component import Component, path_arguments
from vireid.config.imports import plugin_digests
from vireid.config.load import Config
from vireid.config.schema import SETTINGS
from vireid.core.errors import UserError
from vireid.core.io import content_digest
from vireid.core.paths import PathMark, normalized_path, path_mark
from vireid.core.types import Sample
from vireid.data.images.digests import file_states
from vireid.data.rows import row_of
from vireid.runs.inputs import MISSING, RunInputs
from vireid.runs.listing_record import record_listing


def run_inputs(checked: CheckedConfig, training: Sequence[Sample], test: Sequence[Sample]) -> RunInputs:
    """Record what a run of this configuration with these listings is made from, now.

    Images are read for their digests, except those that the list of digests in CACHE_DIR has unchanged.
    """
    roots, digests = data_folders(checked), _digests(checked.config, [*training, *test])
    return RunInputs(
        training=record_listing(training, roots, digests and digests[: len(training)]),
        test=record_listing(test, roots, digests and digests[len(training) :]),
        plugins=plugin_digests(checked.config),
        files=file_digests(checked),
    )


def _digests(config: Config, samples: Sequence[Sample]) -> list[str] | None:
    """Content digests of the images; None for rows of arrays, and if an image cannot be read (training reports why)."""
    if any(row_of(sample.path) is not None for sample in samples):
        return None
    states, unreadable = file_states([str(sample.path) for sample in samples], normalized_path(config.CACHE_DIR))
    return None if unreadable else [state.digest for state in states]


def file_digests(checked: CheckedConfig) -> dict[str, str]:
    """Digests of the files whose content results depend on, by config key: WEIGHTS, DATA.ATTRIBUTES, ...

    Parameters of plug-ins count if their annotation is `Path` or `vireid.core.paths.InputFile`.

    Raises:
        UserError: For a file that cannot be read.
    """
    digests = {}
    for key, value, mark in path_values(checked):
        if not mark.content:
            continue
        path = normalized_path(value)
        try:
            digests[key] = content_digest(path) or MISSING
        except OSError as error:
            raise UserError(f"{key}: {path} cannot be read ({error.strerror or error})") from error
    return digests


def data_folders(checked: CheckedConfig) -> list[Path]:
    """Folders that DATA names; paths of images are recorded relative to them."""
    paths = path_values(checked)
    return [normalized_path(value) for key, value, mark in paths if key.startswith("DATA.") and not mark.content]


def path_values(checked: CheckedConfig) -> Iterator[tuple[str, str, PathMark]]:
    """Every path of a configuration: its key, what the user wrote, and its mark."""
    for setting in SETTINGS.values():
        value, mark = checked.config.value(setting.path), path_mark(setting.kind)
        if mark is not None and value is not None:
            yield setting.key, str(value), mark
    for component in checked.components:
        yield from _paths_of(component)


def _paths_of(value: Any) -> Iterator[tuple[str, str, PathMark]]:
    if isinstance(value, Component):
        for name, mark in path_arguments(value).items():
            yield f"{value.key}.{name.upper()}", str(value.arguments[name]), mark
        for nested in (*value.arguments.values(), *value.extras.values()):
            yield from _paths_of(nested)
    elif isinstance(value, dict):
        for nested in value.values():
            yield from _paths_of(nested)
