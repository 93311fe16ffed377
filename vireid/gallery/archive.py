"""Archive: the store of a gallery as one Lance dataset, with versions, deletion and several writers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError, nearest
from vireid.core.locks import file_lock
from vireid.gallery.columns import STORED, ArchiveRows, require_distinct, source_text
from vireid.gallery.lance_files import (
    ArchiveHeader,
    arrow_schema,
    arrow_table,
    errors_as_text,
    header_of,
    import_lance,
    numpy_columns,
    retried,
    tables_reader,
    with_rows_of,
)
from vireid.gallery.selection import Selection, is_in

DATASET = "images.lance"
LOCK = "archive.lock"
BATCH = 8192  # rows that `batches` returns at a time
DAY = 86400.0


@dataclass(frozen=True)
class ArchiveVersion:
    """A committed version of an archive.

    Attributes:
        number: Number; later versions have larger ones.
        time: Time of the commit, seconds since 1970.
        rows: Number of rows, None if this was not recorded.
    """

    number: int
    time: float
    rows: int | None


@dataclass(frozen=True)
class Upserted:
    """Result of an upsert: number of new rows, and of rows that replaced one with the same source."""

    added: int
    replaced: int


@dataclass(frozen=True)
class ArchiveInfo:
    """Summary of an archive.

    Attributes:
        header: Model and width of the embeddings.
        version: Number of the version that is read.
        versions: Number of versions that are kept.
        rows: Number of embeddings.
        identities: Number of different known identities.
        cameras: Camera -> number of rows; -1 is unknown.
        modalities: Modality (0 visible, 1 infrared) -> number of rows.
        times: First and last known time in seconds; None if no time is known.
    """

    header: ArchiveHeader
    version: int
    versions: int
    rows: int
    identities: int
    cameras: dict[int, int]
    modalities: dict[int, int]
    times: tuple[float, float] | None


class GalleryArchive:
    """A folder with the embeddings and columns of a gallery in a Lance dataset, `images.lance`.

    Every write is one commit: it is stored when the method returns, and a process that is killed before leaves the
    previous version. Writers of several processes wait for each other (`archive.lock`, which the system releases when
    its process ends). Readers do not wait: an object reads the version that was the latest when it was opened or
    wrote, until `refresh`. Reading columns never reads embeddings.

    Args:
        folder: Folder of the archive, on a file system with locks.
        version: Number of an earlier version to read; such an object cannot write.
        as_of: Read the version that was the latest at this time, in seconds since 1970.

    Raises:
        UserError: If the extra [gallery] is not installed, the folder is not an archive or is of a later version of
            vireid, or the version does not exist.
        DataError: If files are damaged.

    Example:
        >>> archive = GalleryArchive.create(folder, fingerprint=model.fingerprint(), width=512)  # doctest: +SKIP
        >>> archive.append(ArchiveRows(embeddings, {"path": paths, "modality": modalities}))  # doctest: +SKIP
        >>> archive.columns(("path", "time"), Selection(cameras=(1, 2)))  # doctest: +SKIP
    """

    def __init__(self, folder: Path, *, version: int | None = None, as_of: float | None = None) -> None:
        if version is not None and as_of is not None:
            raise ArgumentError("version", "and as_of are both given; give one of them")
        self.folder = Path(folder)
        self._lance = import_lance()
        if not _manifests(self.folder):
            raise UserError(
                f"{self.folder} is not an archive: {DATASET} does not exist in it (GalleryArchive.create creates it;"
                " convert_gallery converts a gallery of the earlier format)"
            )
        self._dataset = self._opened()
        self.header = header_of(self._dataset.schema, self.folder)
        self._pinned = version is not None or as_of is not None
        if as_of is not None:
            version = self._version_at(as_of)
        if version is not None:
            self._dataset = self._checked_out(version)

    @classmethod
    def create(cls, folder: Path, *, fingerprint: str, width: int, model: str = "") -> GalleryArchive:
        """Create an archive; an existing one is continued if it has the same model.

        Args:
            folder: Folder of the archive.
            fingerprint: Digest of the model.
            width: D, the width of its embeddings.
            model: Description of the model.

        Raises:
            UserError: If the model or the width differs, or the folder cannot be written.
        """
        if width < 1:
            raise ArgumentError("width", f"must be at least 1, got {width}")
        lance, folder = import_lance(), Path(folder)
        if not _manifests(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
            with _locked(folder), errors_as_text(f"{folder}: cannot be written ({{error}})", UserError):
                if not _manifests(folder):  # another process may have created it meanwhile
                    empty = arrow_schema(ArchiveHeader(fingerprint, width, model)).empty_table()
                    lance.write_dataset(empty, str(folder / DATASET), mode="create")
        archive = cls(folder)
        archive.require(fingerprint, width)
        return archive

    def require(self, fingerprint: str, width: int) -> None:
        """Raise UserError unless the embeddings are of the model with this fingerprint and width."""
        self.header.require(fingerprint, width, self.folder)

    @property
    def version(self) -> int:
        """Number of the version that this object reads."""
        return int(self._dataset.version)

    def refresh(self) -> int:
        """Read the latest version from now on, and return its number; an object of an earlier version keeps it."""
        if not self._pinned:
            self._dataset = self._opened()
        return self.version

    def versions(self) -> tuple[ArchiveVersion, ...]:
        """List the versions that are kept, the earliest first."""
        with self._reading():
            found = retried(self._dataset.versions)
        rows = [each["metadata"].get("total_rows") for each in found]
        versions = [
            ArchiveVersion(int(each["version"]), each["timestamp"].timestamp(), None if number is None else int(number))
            for each, number in zip(found, rows)
        ]
        return tuple(sorted(versions, key=lambda each: each.number))

    def count(self, only: Selection | None = None) -> int:
        """Count the rows that meet the conditions."""
        with self._reading():
            return int(self._dataset.count_rows(_predicate(only)))

    def columns(self, names: Sequence[str] = STORED, only: Selection | None = None) -> dict[str, np.ndarray]:
        """Read columns of the rows that meet the conditions, in the order of the archive.

        Args:
            names: Columns; the embeddings are read by `embeddings` and `batches`.
            only: Conditions.

        Returns:
            Name -> values (N,), texts as objects; `box` is (N, 4).

        Raises:
            UserError: If a column does not exist.
        """
        for name in names:
            if name not in STORED:
                raise UserError(
                    f"columns: {name!r} is unknown{nearest(name, STORED)} (known: {', '.join(STORED)}; embeddings are"
                    " read by the method embeddings)"
                )
        with self._reading():
            return numpy_columns(self._dataset.scanner(columns=list(names), filter=_predicate(only)).to_table())

    def embeddings(self, only: Selection | None = None) -> np.ndarray:
        """Read the embeddings (N, D) of the rows that meet the conditions, in the order of `columns`."""
        with self._reading():
            table = self._dataset.scanner(columns=["embedding"], filter=_predicate(only)).to_table()
            return numpy_columns(table)["embedding"]

    def batches(self, only: Selection | None = None, *, size: int = BATCH) -> Iterator[ArchiveRows]:
        """Read embeddings and columns of the rows that meet the conditions in pieces of at most `size` rows."""
        import pyarrow as pa

        with self._reading():
            for batch in self._dataset.scanner(filter=_predicate(only), batch_size=size).to_batches():
                if batch.num_rows:
                    yield with_rows_of(numpy_columns(pa.Table.from_batches([batch])))

    def info(self) -> ArchiveInfo:
        """Summarize the content; no embedding is read."""
        columns = self.columns(("identity", "camera", "modality", "time"))
        known = columns["time"][np.isfinite(columns["time"])]
        return ArchiveInfo(
            header=self.header,
            version=self.version,
            versions=len(self.versions()),
            rows=len(columns["time"]),
            identities=int((np.unique(columns["identity"]) >= 0).sum()),
            cameras=_counted(columns["camera"]),
            modalities=_counted(columns["modality"]),
            times=(float(known.min()), float(known.max())) if len(known) else None,
        )

    def append(self, rows: ArchiveRows) -> int:
        """Store new rows in one commit; return the number of the version.

        Raises:
            UserError: If the embeddings have another width, or the folder cannot be written.
            DataError: If a value is invalid, or a source is in the archive already; nothing is stored then.
        """
        table, columns = arrow_table(rows, self.header, added_at=time.time())
        require_distinct(columns)
        with self._writing():
            if len(rows):
                condition = is_in("source", tuple(columns["source"].tolist()))
                held = self._dataset.scanner(columns=["source"], filter=condition).to_table()
                if keys := set(held.column("source").to_pylist()):
                    row = next(row for row, key in enumerate(columns["source"]) if key in keys)
                    raise DataError(
                        f"{self.folder}: {len(keys)} of {len(rows)} rows are in the archive already"
                        f" ({source_text(columns, row)}): leave them out, or replace them with upsert"
                    )
                self._lance.write_dataset(table, str(self.folder / DATASET), mode="append")
        return self.version

    def upsert(self, rows: ArchiveRows) -> Upserted:
        """Store rows in one commit; a row replaces the one with the same source (path, frame and track).

        Raises:
            UserError: If the embeddings have another width, or the folder cannot be written.
            DataError: If a value is invalid, or two of the rows have the same source; nothing is stored then.
        """
        table, columns = arrow_table(rows, self.header, added_at=time.time())
        require_distinct(columns)
        return self.merge([table])

    def merge(self, tables: Iterable[Any]) -> Upserted:
        """Upsert Arrow tables with the stored columns, which are not checked, in one commit.

        Lance holds the rows of the commit in memory.

        Raises:
            UserError: If the folder cannot be written. An error of the iterable is raised as it is.
        """
        with self._writing(), tables_reader(arrow_schema(self.header), tables) as reader:
            merged = self._dataset.merge_insert("source").when_matched_update_all().when_not_matched_insert_all()
            counts = merged.execute(reader)
        return Upserted(int(counts["num_inserted_rows"]), int(counts["num_updated_rows"]))

    def load(self, tables: Iterable[Any]) -> None:
        """Append Arrow tables as `merge` does, but piece by piece; their sources must not be in the archive."""
        with self._writing(), tables_reader(arrow_schema(self.header), tables) as reader:
            self._lance.write_dataset(reader, str(self.folder / DATASET), mode="append")

    def delete(self, only: Selection) -> int:
        """Delete the rows that meet the conditions in one commit; return their number.

        Earlier versions, and the files, keep them until `compact(keep_days=0)`.

        Raises:
            UserError: If there is no condition, or the folder cannot be written.
        """
        predicate = only.predicate()
        if predicate is None:
            raise UserError(f"{self.folder}: delete needs a condition; to delete everything, remove the folder")
        with self._writing():
            number = int(self._dataset.count_rows(predicate))
            if number:
                self._dataset.delete(predicate)
        return number

    def compact(self, *, keep_days: float | None = None) -> int:
        """Merge small files and drop deleted rows from the latest version; return the number of removed versions.

        Args:
            keep_days: Remove versions that are older than this, with files that only they use and what killed writers
                left; 0 removes all but the latest, so that deleted rows are gone from the disk. None keeps all. A
                reader that reads a removed version has to refresh.

        Raises:
            UserError: If the folder cannot be written.
        """
        if keep_days is not None and not keep_days >= 0:
            raise ArgumentError("keep_days", f"must be at least 0, got {keep_days}")
        with self._writing():
            self._dataset.optimize.compact_files(materialize_deletions=True, materialize_deletions_threshold=0.0)
            if keep_days is None:
                return 0
            latest = self._opened()
            # No writer is active, since this process holds the lock: files of no version are left by killed writers.
            stats = latest.cleanup_old_versions(older_than=timedelta(days=keep_days), delete_unverified=True)
            return int(stats.old_versions)

    def _opened(self) -> Any:
        with self._reading():
            return retried(lambda: self._lance.dataset(str(self.folder / DATASET)))

    def _checked_out(self, version: int) -> Any:
        kept = [each.number for each in self.versions()]
        if version not in kept:
            raise UserError(
                f"{self.folder}: version {version} does not exist; it has {len(kept)} versions from {kept[0]} to"
                f" {kept[-1]} (compact may have removed it)"
            )
        with self._reading():
            return self._lance.dataset(str(self.folder / DATASET), version=version)

    def _version_at(self, moment: float) -> int:
        versions = self.versions()
        earlier = [each.number for each in versions if each.time <= moment]
        if not earlier:
            raise UserError(
                f"{self.folder}: no version is kept from {moment:.15g} or before; the earliest is from"
                f" {versions[0].time:.15g} (seconds since 1970)"
            )
        return max(earlier)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock, on the latest version before the block and after it."""
        if self._pinned:
            raise UserError(f"{self.folder}: version {self.version} is read-only; open the archive without a version")
        failed = f"{self.folder}: cannot be written ({{error}}); what was stored before is unchanged"
        with _locked(self.folder):
            self.refresh()
            with errors_as_text(failed, UserError):
                yield
            self.refresh()

    def _reading(self) -> Any:
        return errors_as_text(
            f"{self.folder / DATASET} cannot be read ({{error}}): if another process compacted the archive, open it"
            " again; otherwise a file is damaged, restore the folder from a backup"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with file_lock(folder / LOCK, wait=True) as writable:
        if not writable:
            raise UserError(f"{folder}: cannot be written: no permission")
        yield


def _manifests(folder: Path) -> bool:
    """Return whether a version was committed; a process that is killed while it creates an archive leaves none."""
    return any((folder / DATASET / "_versions").glob("*.manifest"))


def _predicate(only: Selection | None) -> str | None:
    return None if only is None else only.predicate()


def _counted(values: np.ndarray) -> dict[int, int]:
    keys, counts = np.unique(values, return_counts=True)
    return dict(zip(keys.tolist(), counts.tolist()))
