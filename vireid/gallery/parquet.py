"""Export and import of an archive as one Parquet file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vireid.core.errors import DataError, UserError
from vireid.core.io import replaced_file
from vireid.gallery.archive import GalleryArchive, Upserted
from vireid.gallery.columns import checked_columns, require_distinct
from vireid.gallery.lance_files import (
    arrow_schema,
    arrow_table,
    errors_as_text,
    header_of,
    import_lance,
    numpy_columns,
    with_rows_of,
)
from vireid.gallery.selection import Selection

BATCH = 8192  # rows that are read and written at a time


def export_parquet(archive: GalleryArchive, file: Path, only: Selection | None = None) -> int:
    """Write the rows that meet the conditions, with the model in the metadata; return their number.

    The file is written atomically, and piece by piece: the archive may be larger than memory.

    Raises:
        UserError: If the file cannot be written.
    """
    import pyarrow.parquet as parquet

    number = 0
    schema = arrow_schema(archive.header)
    with replaced_file(Path(file)) as out, parquet.ParquetWriter(out, schema) as writer:
        for rows in archive.batches(only, size=BATCH):
            writer.write_table(arrow_table(rows, archive.header, added_at=0.0)[0])
            number += len(rows)
    return number


def import_parquet(archive: GalleryArchive, file: Path) -> Upserted:
    """Upsert the rows of a file of `export_parquet` in one commit, which is held in memory.

    Raises:
        UserError: If the file does not exist, was not exported from an archive, or is of another model.
        DataError: If the file is damaged, a value is invalid, or two rows have the same source; nothing is stored then.
    """
    import_lance()
    import pyarrow.parquet as parquet

    file = Path(file)
    if not file.is_file():
        raise UserError(f"{file} does not exist")
    damaged = f"{file} cannot be read as Parquet ({{error}}); export it again"
    with errors_as_text(damaged):
        source: Any = parquet.ParquetFile(file)
    header = header_of(source.schema_arrow, file)
    archive.require(header.fingerprint, header.width)
    with errors_as_text(damaged):
        columns = numpy_columns(source.read(columns=["path", "modality", "frame", "track", "box"]))
    try:
        require_distinct(checked_columns(columns, source.metadata.num_rows, added_at=0.0))
    except UserError as error:
        raise DataError(f"{file}: {error}") from error

    return archive.merge(_tables(archive, source, file))


def _tables(archive: GalleryArchive, source: Any, file: Path) -> Iterator[Any]:
    import pyarrow as pa

    now = time.time()
    with errors_as_text(f"{file} cannot be read as Parquet ({{error}}); export it again"):
        for batch in source.iter_batches(batch_size=BATCH):
            rows = with_rows_of(numpy_columns(pa.Table.from_batches([batch])))
            try:
                table, _ = arrow_table(rows, archive.header, added_at=now)
            except UserError as error:
                raise DataError(f"{file}: {error}") from error
            yield table
