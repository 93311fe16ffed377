"""Search in Milvus: an embedded database file (Milvus Lite), or a cluster for galleries too large for one machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError, nearest
from vireid.core.io import write_json
from vireid.core.paths import normalized_path
from vireid.core.registries import INDEXES
from vireid.retrieval.best import order_ties
from vireid.retrieval.index.vectors import checked_search, filled, unit_rows

EMBEDDED = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8")  # kinds that the embedded server builds
CLUSTER = (*EMBEDDED, "HNSW_PQ", "IVF_PQ", "SCANN", "DISKANN")
LARGEST_K = 16384  # largest k of Milvus
MESSAGE = 16 << 20  # bytes sent at a time
VECTOR = "vector"


@INDEXES.register
class Milvus:
    """A collection of a Milvus server. What `add` has returned from is stored durably.

    Args:
        address: A file ending in .db, which the embedded server keeps, or "http://host:19530" of a cluster.
        token: Access token of the cluster, if it needs one.
        collection: Name of the collection; an existing one is continued.
        index_type: Kind of index; only kinds that the server really builds are allowed (the embedded server accepts
            other names silently and then searches by brute force). "FLAT" is exact.
        links: Number of links of each image, of HNSW.
        build_effort: Number of candidates kept while building, of HNSW.
        lists: Number of lists, of IVF.
        search_effort: Number of candidates kept (HNSW) or of lists searched (IVF).

    Raises:
        UserError: For arguments that do not fit, if the packages are missing (`pip install vireid[milvus]`), or if the
            server cannot be reached.

    Example:
        >>> Milvus(address="gallery.db", index_type="FLAT").exact
        True
    """

    def __init__(
        self,
        *,
        address: str = "milvus.db",
        token: str = "",
        collection: str = "gallery",
        index_type: str = "HNSW",
        links: int = 32,
        build_effort: int = 80,
        lists: int = 1024,
        search_effort: int = 64,
    ) -> None:
        self.address = address if "://" in address else str(normalized_path(address))
        self.token, self.collection, self.index_type = token, collection, index_type
        self.build = {"M": links, "efConstruction": build_effort, "nlist": lists}
        self.search_effort, self._width = search_effort, None
        for name, value in {
            "links": links,
            "build_effort": build_effort,
            "lists": lists,
            "search_effort": search_effort,
        }.items():
            if value < 1:
                raise ArgumentError(name, f"must be at least 1, got {value}")
        if "://" not in address and not address.endswith(".db"):
            raise UserError(f"address {address!r} is neither a file ending in .db nor of the form http://host:19530")
        if self.embedded:
            self.address = str(normalized_path(address))
        self._check_type(EMBEDDED if self.embedded else CLUSTER)

    @property
    def embedded(self) -> bool:
        """Whether the address is a file."""
        return "://" not in self.address

    @property
    def exact(self) -> bool:
        """Whether a search returns the true nearest neighbors."""
        return self.index_type == "FLAT"

    @property
    def description(self) -> str:
        """Name and arguments, for the conditions of a result."""
        return f"Milvus {self.index_type} (search effort {self.search_effort})"

    def __len__(self) -> int:
        if self._known_width() is None:
            return 0
        counts = self._client.query(self.collection, filter="", output_fields=["count(*)"], consistency_level="Strong")
        return int(counts[0]["count(*)"])

    def add(self, features: np.ndarray) -> None:
        rows = unit_rows(features, width=self._known_width(), what="gallery")
        if self._known_width() is None:
            self._create(rows.shape[1])
        first, step = len(self), max(1, MESSAGE // (4 * rows.shape[1]))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            records = [{"id": first + start + i, VECTOR: row} for i, row in enumerate(part)]
            self._client.upsert(self.collection, records)

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        number = len(self)
        checked_search(number, k, allowed)
        if k > LARGEST_K:
            raise UserError(f"Milvus returns at most {LARGEST_K} images for a query, but k is {k}: choose a smaller k")
        rows = unit_rows(queries, width=self._known_width(), what="queries")
        if allowed is not None and not allowed.any():
            return filled(np.empty((len(rows), 0), np.float32), np.empty((len(rows), 0), np.int64), k)
        scores = np.full((len(rows), k), -np.inf, np.float32)
        ids = np.full((len(rows), k), -1, np.int64)
        effort = {"ef": max(self.search_effort, k), "nprobe": self.search_effort}
        step = max(1, LARGEST_K // k)
        for start in range(0, len(rows), step):
            results = self._client.search(
                self.collection,
                data=rows[start : start + step].tolist(),
                anns_field=VECTOR,
                limit=min(k, number),
                filter="" if allowed is None else selection(allowed),
                search_params={"metric_type": "IP", "params": effort},
                consistency_level="Strong",
            )
            for row, hits in enumerate(results, start):
                scores[row, : len(hits)] = [hit["distance"] for hit in hits]
                ids[row, : len(hits)] = [hit["id"] for hit in hits]
        return order_ties(scores, ids)

    def save(self, path: Path) -> None:
        """Write the address of the collection; the embeddings are on the server."""
        if self._known_width() is not None:
            self._client.flush(self.collection)
        write_json(path, {"address": self.address, "collection": self.collection, "rows": len(self)})

    def load(self, path: Path) -> None:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            address, rows = str(stored["address"]), int(stored["rows"])
            place = (address if "://" in address else str(normalized_path(address)), stored["collection"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read as an index ({error}); build it again") from error
        if place != (self.address, self.collection) or rows > len(self):
            raise DataError(
                f"{path} is an index of {rows} embeddings in {place}, but {self.address} holds {len(self)};"
                " build it again"
            )

    def close(self) -> None:
        """Close the connection, and the file of the embedded server."""
        client = self.__dict__.pop("_client", None)  # None: never connected
        if client is not None:
            client.close()

    # -- the server ----------------------------------------------------------------------------------------------

    @cached_property
    def _client(self) -> Any:
        try:
            from pymilvus import MilvusClient  # pyright: ignore[reportMissingImports]  # an extra
        except ImportError as missing:
            raise UserError(
                "Milvus needs the packages pymilvus and milvus-lite: pip install vireid[milvus]"
            ) from missing
        try:
            client = MilvusClient(uri=self.address, token=self.token)
            version = str(client.get_server_version())
        except Exception as error:  # pymilvus, grpc and the embedded server raise different classes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"Milvus at {self.address} cannot be reached ({reason}): check the address, or start the server"
            ) from error
        if "lite" in version.lower():  # the embedded server may have a network address, too
            self._check_type(EMBEDDED)
        return client

    def _check_type(self, known: tuple[str, ...]) -> None:
        if self.index_type not in known:
            kind = "the embedded Milvus" if known is EMBEDDED else "Milvus"
            raise UserError(
                f"index_type {self.index_type!r} is not one that {kind} builds"
                f"{nearest(self.index_type, known)} (known: {', '.join(known)})"
            )

    def _known_width(self) -> int | None:
        if self._width is None and self._client.has_collection(self.collection):
            self._width = _width_of(self._client.describe_collection(self.collection), self.collection)
            self._client.load_collection(self.collection)
        return self._width

    def _create(self, width: int) -> None:
        from pymilvus import DataType  # pyright: ignore[reportMissingImports]

        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=width)
        indexes = self._client.prepare_index_params()
        indexes.add_index(VECTOR, index_type=self.index_type, metric_type="IP", params=self.build)
        self._client.create_collection(self.collection, schema=schema, index_params=indexes, consistency_level="Strong")
        self._client.load_collection(self.collection)
        self._width = width


def _width_of(description: Mapping[str, Any], collection: str) -> int:
    for field in description["fields"]:
        if field["name"] == VECTOR:
            return int(field["params"]["dim"])
    raise UserError(
        f"the collection {collection!r} was not written by vireid: it has no field {VECTOR!r};"
        " choose another collection"
    )


def selection(allowed: np.ndarray) -> str:
    """Return the Milvus filter expression for the ids where `allowed` is True.

    >>> selection(np.array([True, False, True, True, True, False, True]))
    '(id >= 2 and id <= 4) or id in [0, 6]'
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], allowed.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    single = runs[:, 1] - runs[:, 0] == 1
    parts = [f"(id >= {first} and id <= {end - 1})" for first, end in runs[~single]]
    if single.any():
        parts.append(f"id in [{', '.join(map(str, runs[single, 0]))}]")
    return " or ".join(parts)
