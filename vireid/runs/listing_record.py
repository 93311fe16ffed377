"""Listing of a dataset split as a record: its digest, its file, and the differences of two records as text."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from vireid.core.io import replaced_file
from vireid.core.text import counted
from vireid.core.types import Modality, Sample
from vireid.data.rows import row_of

UNKNOWN = "?"  # an attribute that is not annotated
NO_SIZE = "-1"
SAME_SIZES = "the content of images, whose names and sizes are the same"


class ListedImage(NamedTuple):
    """One image of a listing; all fields are text."""

    path: str  # relative to the root of the dataset where it lies below it
    identity: str
    modality: str
    camera: str
    time: str
    attributes: str  # one character for each: 0, 1 or ?
    bytes: str  # size of the file, so that most replaced images are noticed


@dataclass(frozen=True)
class ListingRecord:
    """The images of one split in their order, with all annotations.

    Attributes:
        images: The images.
        content: SHA-256 of the content of all files in this order; "" if unknown. It is part of the summary, but not of
            the file.
    """

    images: tuple[ListedImage, ...]
    content: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all fields of all images in their order."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    @cached_property
    def image_digest(self) -> str:
        """SHA-256 of the images, their labels, modality, camera and time, without attributes.

        It is equal for a method with attributes and one without, so that their results can be compared.
        """
        fields = [(i.path, i.identity, i.modality, i.camera, i.time) for i in self.images]
        return hashlib.sha256(repr(fields).encode()).hexdigest()

    @property
    def summary(self) -> dict[str, Any]:
        """The digest and a few counts, as plain values."""
        return {
            "digest": self.digest,
            "images": len(self.images),
            "identities": len({image.identity for image in self.images}),
            "cameras": len({image.camera for image in self.images}),
            "attributes": max((len(image.attributes) for image in self.images), default=0),
            **({"content": self.content} if self.content else {}),
        }

    def write(self, path: Path) -> None:
        """Write as gzipped CSV, atomically."""
        with replaced_file(path) as file:
            file.write(gzip.compress(self._text().encode(), mtime=0))

    @classmethod
    def read(cls, path: Path) -> ListingRecord | None:
        """Read the file of a record; None if it does not exist or is damaged."""
        try:
            text = gzip.decompress(path.read_bytes()).decode()
            header, *lines = csv.reader(io.StringIO(text))
            return cls(tuple(ListedImage(*line) for line in lines)) if tuple(header) == ListedImage._fields else None
        except (OSError, EOFError, ValueError, TypeError, csv.Error):
            return None

    def _text(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(ListedImage._fields)
        writer.writerows(self.images)
        return out.getvalue()


def record_listing(
    samples: Sequence[Sample], roots: Iterable[Path] = (), digests: Sequence[str] | None = None
) -> ListingRecord:
    """Record the images of a split; of the files, only the sizes are read.

    Args:
        samples: The split, in its order.
        roots: Folders of the dataset; paths below one of them are recorded relative to it, so that a dataset that was
            moved has the same record.
        digests: Content digest of the file of each sample; None if unknown.
    """
    content = hashlib.sha256("\n".join(digests).encode()).hexdigest() if digests is not None else ""
    prefixes = [f"{root}{os.sep}" for root in roots]
    sizes: dict[str, str] = {}

    def size(path: Path) -> str:
        row = row_of(path)
        file = str(path if row is None else row[0])
        if file not in sizes:
            try:
                sizes[file] = str(os.stat(file).st_size)
            except OSError:
                sizes[file] = NO_SIZE
        return sizes[file]

    def listed(sample: Sample) -> ListedImage:
        path = str(sample.path)
        prefix = next((prefix for prefix in prefixes if path.startswith(prefix)), "")
        attributes = "".join(str(value) if value in (0, 1) else UNKNOWN for value in sample.attributes or ())
        return ListedImage(
            path=(f"{sample.dataset}:" if sample.dataset else "") + path.removeprefix(prefix).replace(os.sep, "/"),
            identity=str(sample.identity),
            modality=Modality(sample.modality).name.lower(),
            camera=str(sample.camera),
            time="" if sample.time is None else repr(float(sample.time)),
            attributes=attributes,
            bytes=size(sample.path),
        )

    return ListingRecord(tuple(map(listed, samples)), content)


def changes(old: ListingRecord, new: ListingRecord) -> list[str]:
    """Describe the differences between two records, with the first example of each kind.

    Example:
        ["12 images added (first: cam1/0001/0007.jpg)", "40 labels changed (first: cam1/0002/0001.jpg was 1, is 2)"]
    """
    before, after = ({image.path: image for image in record.images} for record in (old, new))
    lines = [
        *_one_sided("added", [path for path in after if path not in before]),
        *_one_sided("removed", [path for path in before if path not in after]),
    ]
    common = [(before[path], image) for path, image in after.items() if path in before]
    for words, field in _FIELDS.items():
        changed = [(a, b) for a, b in common if field(a) != field(b)]
        if changed:
            (a, b), (noun, nouns) = changed[0], words
            first = f"{b.path} was {field(a) or 'nothing'}, is {field(b) or 'nothing'}"
            lines.append(f"{counted(len(changed), noun, nouns)} changed (first: {first})")
    if not lines and old.images != new.images:
        first = next((b.path for a, b in zip(old.images, new.images) if a != b), "the last one")
        lines.append(f"the order of the images changed (first: {first})")
    return lines


_FIELDS: Mapping[tuple[str, str], Callable[[ListedImage], str]] = {
    ("label", "labels"): lambda image: image.identity,
    ("modality", "modalities"): lambda image: image.modality,
    ("camera", "cameras"): lambda image: image.camera,
    ("time", "times"): lambda image: image.time,
    ("image's attributes", "images' attributes"): lambda image: image.attributes,
    ("file size", "file sizes"): lambda image: image.bytes,
}


def _one_sided(word: str, paths: Sequence[str]) -> list[str]:
    return [f"{counted(len(paths), 'image')} {word} (first: {paths[0]})"] if paths else []


def summary_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe the differences between two summaries; for records that no longer exist as a file."""
    if old.get("digest") == new["digest"]:
        content = old.get("content"), new.get("content")
        return [SAME_SIZES] if all(content) and content[0] != content[1] else []
    counts = [
        f"{name} {old.get(name)}, now {new[name]}"
        for name in new
        if name not in ("digest", "content") and old.get(name) != new[name]
    ]
    return counts or ["the same numbers of images, identities and cameras, but other paths, labels or files"]
