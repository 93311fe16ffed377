"""Lance as the file format of an archive: import, schema, and errors as texts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vireid.core.arrays import embedding_matrix, l2_normalized_rows
from vireid.core.errors import DataError, UserError
from vireid.gallery.columns import NUMBERS, ArchiveRows, checked_columns

SCHEMA = 1  # version of the columns; a later version is not read
KEY = b"vireid"  # of the metadata of a schema
TRIES = 5  # to open the latest version
PAUSE = 0.02  # seconds between them
INSTALL = 'pip install "vireid[gallery]"'
Result = TypeVar("Result")


@dataclass(frozen=True)
class ArchiveHeader:
    """Metadata of an archive: the model of the embeddings and the version of the columns.

    Attributes:
        fingerprint: Digest of the weights and the preprocessing of the model.
        width: D, the width of the embeddings.
        model: Description of the model.
        schema: Version of the columns.
    """

    fingerprint: str
    width: int
    model: str = ""
    schema: int = SCHEMA

    def require(self, fingerprint: str, width: int, place: Path) -> None:
        """Raise UserError unless the embeddings are of the model with this fingerprint and width."""
        if fingerprint != self.fingerprint:
            raise UserError(
                f"{place} was made by another model ({self.model or 'without a description'}, fingerprint"
                f" {self.fingerprint[:12]}, this one is {fingerprint[:12]}): their embeddings cannot be compared; use"
                " that model, or another folder"
            )
        if width != self.width:
            raise UserError(
                f"{place}: the embeddings have the width {self.width}, those of this model {width}: use another folder"
            )


def import_lance() -> Any:
    """Import Lance.

    Raises:
        UserError: If the extra [gallery] is not installed.
    """
    try:
        import lance
    except ImportError as error:
        raise UserError(f"archives need the package pylance ({error}); install it with: {INSTALL}") from error
    return lance


def arrow_schema(header: ArchiveHeader) -> Any:
    """Return the columns of an archive as an Arrow schema, with the header as metadata."""
    import_lance()
    import pyarrow as pa

    texts = dict.fromkeys(("source", "path", "digest"), pa.string())
    reals = dict.fromkeys(("time", "added_at"), pa.float64())
    numbers = dict.fromkeys((*NUMBERS, "modality"), pa.int64())
    lists = {"box": pa.list_(pa.float32(), 4), "embedding": pa.list_(pa.float32(), header.width)}
    fields = [pa.field(name, kind, nullable=False) for name, kind in {**texts, **numbers, **reals, **lists}.items()]
    facts = {"fingerprint": header.fingerprint, "model": header.model, "schema": header.schema}
    return pa.schema(fields, metadata={KEY: json.dumps(facts).encode()})


def header_of(schema: Any, place: Path) -> ArchiveHeader:
    """Read the header from an Arrow schema.

    Raises:
        UserError: If the data are not of an archive, or of a later version.
        DataError: If the header is damaged.
    """
    stored = (schema.metadata or {}).get(KEY)
    if stored is None:
        raise UserError(f"{place} is not of an archive of vireid: its schema has no model and no version")
    try:
        facts = json.loads(stored)
        version = int(facts["schema"])
        if version > SCHEMA:
            raise UserError(f"{place} has the schema {version}, this version reads {SCHEMA}: update vireid")
        header = ArchiveHeader(facts["fingerprint"], schema.field("embedding").type.list_size, facts["model"], version)
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{place}: the header is damaged ({error}); restore the folder from a backup") from error
    missing = [name for name in arrow_schema(header).names if name not in schema.names]
    if missing:
        raise DataError(f"{place}: the columns {', '.join(missing)} are missing; restore it from a backup")
    return header


def arrow_table(rows: ArchiveRows, header: ArchiveHeader, *, added_at: float) -> tuple[Any, dict[str, np.ndarray]]:
    """Check rows; return them as an Arrow table, with embeddings L2-normalized, and their columns.

    Raises:
        UserError: If the embeddings have another width, or a column is unknown, missing or of another length.
        DataError: If an embedding is zero or not finite, or a value of a column is invalid.
    """
    import pyarrow as pa

    matrix = embedding_matrix("embeddings", rows.embeddings, width=header.width)
    matrix = l2_normalized_rows("embeddings", matrix, dtype=np.float32)
    columns = checked_columns(rows.columns, len(matrix), added_at=added_at)
    schema = arrow_schema(header)
    arrays = []
    for name in schema.names:
        kind, values = schema.field(name).type, matrix if name == "embedding" else columns[name]
        if values.ndim == 2:
            flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, kind.list_size))
        else:
            arrays.append(pa.array(values, kind))
    return pa.table(arrays, schema=schema), columns


def numpy_columns(table: Any) -> dict[str, np.ndarray]:
    """Convert an Arrow table to arrays: a fixed-size list becomes a matrix, texts become objects."""
    return {name: _numpy(table.column(name)) for name in table.column_names}


def _numpy(column: Any) -> np.ndarray:
    width = getattr(column.type, "list_size", None)
    if width is None:
        return column.to_numpy()
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(flat).reshape(-1, width) if flat else np.empty((0, width), np.float32)


def retried(read: Callable[[], Result]) -> Result:
    """Return the result of `read`; try again if it fails, since `compact` may remove the version that it opens."""
    for _ in range(TRIES - 1):
        try:
            return read()
        except (OSError, ValueError):
            time.sleep(PAUSE)
    return read()


@contextmanager
def errors_as_text(template: str, kind: type[UserError] = DataError) -> Iterator[None]:
    """Raise errors of Lance and Arrow as errors that a user can act on; `{error}` in the template is their text."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise kind(template.replace("{error}", str(error).strip().split(", /home/")[0])) from error


@contextmanager
def tables_reader(schema: Any, tables: Iterable[Any]) -> Iterator[Any]:
    """Yield a reader of the batches of the tables; an error of the iterable is raised instead of the one of Lance."""
    import pyarrow as pa

    faults: list[Exception] = []

    def batches() -> Iterator[Any]:
        try:
            for table in tables:
                yield from table.to_batches()
        except Exception as error:
            faults.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(schema, batches())
    except Exception:
        if faults:
            raise faults[0] from None
        raise


def with_rows_of(columns: Mapping[str, np.ndarray]) -> ArchiveRows:
    """Split stored columns into embeddings and the others; `source` is computed again when they are stored."""
    others = {name: values for name, values in columns.items() if name not in ("embedding", "source")}
    return ArchiveRows(columns["embedding"], others)
