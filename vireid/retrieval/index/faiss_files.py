"""Files of faiss indexes: the serialized index followed by a note with its kind and training."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import DataError
from vireid.core.io import replaced_file
from vireid.retrieval.index.faiss_gpu import import_faiss

MARK = b"vireid-index-1"  # the last bytes of a file with a note; before it the note's length and the note


@dataclass(frozen=True)
class Note:
    """What is written after the index.

    Attributes:
        kind: Class name of the index.
        trained_on: Number of embeddings that the index was trained on; 0 if nothing was trained.
    """

    kind: str
    trained_on: int


def write_index(path: Path, index: Any, note: Note) -> None:
    """Write the index and its note by an atomic rename."""
    text = json.dumps(asdict(note)).encode("utf-8")
    with replaced_file(path) as file:
        file.write(import_faiss().serialize_index(index).data)
        file.write(text + len(text).to_bytes(8, "little") + MARK)


def read_index(path: Path, kind: str) -> tuple[Any, Note | None]:
    """Read a faiss index and its note; files of earlier versions have no note.

    Raises:
        DataError: If the file cannot be read, or holds an index of another kind.
    """
    faiss = import_faiss()
    try:
        content = np.fromfile(path, dtype=np.uint8)
        index, note = _split(content)
        if note is not None and note.kind != kind:
            raise DataError(f"{path} holds an index of the kind {note.kind}, not {kind}; load it as {note.kind}")
        return faiss.deserialize_index(index, faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE), note
    except DataError:
        raise
    except (OSError, RuntimeError, AssertionError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as an index ({reason}); build it again") from error


def _split(content: np.ndarray) -> tuple[np.ndarray, Note | None]:
    end = len(content) - len(MARK) - 8
    if end < 0 or content[-len(MARK) :].tobytes() != MARK:
        return content, None
    start = end - int.from_bytes(content[end : end + 8].tobytes(), "little")
    values = json.loads(content[max(start, 0) : end].tobytes().decode("utf-8"))
    return content[: max(start, 0)], Note(str(values["kind"]), int(values["trained_on"]))
