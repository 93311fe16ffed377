"""Plan an addition to a gallery: new images, and on request those that are outdated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path

import numpy as np

from vireid.core.errors import DataError
from vireid.core.types import Sample
from vireid.data.images.image_files import LeftOut
from vireid.gallery.images import Stamp, changed, real_paths, vanished
from vireid.gallery.store import UNKNOWN


@dataclass
class Built:
    """Result of a build or an addition.

    Attributes:
        added: Images that are new in the gallery.
        already: Listed images that the gallery already had.
        refreshed: Images that were embedded again.
        repeated: Entries of the list that name a file a second time.
        outdated: Images to embed again.
        seconds: Duration.
        bad: Path -> error of the file.
        notices: Sentences about changed, vanished and unrecorded files.
        left_out: Files that the listing left out.
    """

    added: int = 0
    already: int = 0
    refreshed: int = 0
    repeated: int = 0
    outdated: int = 0
    seconds: float = 0.0
    bad: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def embedded(self) -> int:
        """Number of images that were embedded and stored."""
        return self.added + self.refreshed

    def __str__(self) -> str:
        rate = self.embedded / self.seconds if self.seconds else 0.0
        lines = [f"{self.added} images added, {self.already} already in the gallery ({rate:.1f} images/s)"]
        if self.refreshed:
            lines.append(f"{self.refreshed} images embedded again; their earlier embeddings are no longer found")
        if self.repeated:
            lines.append(f"{self.repeated} entries name a file that is listed already")
        lines += self.notices
        lines += self.left_out.lines()
        lines += [f"skipped: {path}: {fault}" for path, fault in self.bad.items()]
        return "\n".join(lines)


def planned(
    samples: Sequence[Sample], columns: Mapping[str, np.ndarray], *, refresh: bool
) -> tuple[list[Sample], Built]:
    """Return the images to embed, the outdated ones last, and the counts. The paths of the samples are real paths.

    Raises:
        DataError: If a file is listed twice with different values.
    """
    listed: dict[Path, Sample] = {}
    for sample in samples:
        other = listed.setdefault(sample.path, sample)
        if other != sample:
            raise DataError(f"{sample.path} is listed twice with different values: {_values(other)}; {_values(sample)}")
    rows = {path: row for row, path in enumerate(real_paths(columns))}  # the last of each
    known = {path: rows[str(path)] for path in listed if str(path) in rows}
    done = Built(already=len(known), repeated=len(samples) - len(listed))
    stamps = {path: Stamp.of_row(columns, row) for path, row in known.items()}
    content = changed({path: stamp for path, stamp in stamps.items() if stamp is not None})
    unrecorded = {path for path, stamp in stamps.items() if stamp is None}
    merged = {path: _merged(listed[path], columns, row) for path, row in known.items()}
    values = {path for path, row in known.items() if not _agrees(listed[path], columns, row)}
    done.notices = _notices(content, unrecorded, values, vanished(rows), refresh=refresh)
    again = [merged[path] for path in known if refresh and path in content | unrecorded | values]
    done.outdated = len(again)
    return [sample for path, sample in listed.items() if path not in known] + again, done


def _merged(sample: Sample, columns: Mapping[str, np.ndarray], row: int) -> Sample:
    """Fill in values from the gallery that the list does not have."""
    time = float(columns["time"][row])
    return replaced(
        sample,
        identity=int(columns["identity"][row]) if sample.identity == UNKNOWN else sample.identity,
        camera=int(columns["camera"][row]) if sample.camera == UNKNOWN else sample.camera,
        time=(time if np.isfinite(time) else None) if sample.time is None else sample.time,
    )


def _agrees(sample: Sample, columns: Mapping[str, np.ndarray], row: int) -> bool:
    return (
        sample.identity in (UNKNOWN, columns["identity"][row])
        and sample.camera in (UNKNOWN, columns["camera"][row])
        and int(sample.modality) == columns["modality"][row]
        and sample.time in (None, columns["time"][row])
    )


def _values(sample: Sample) -> str:
    return f"identity {sample.identity}, camera {sample.camera}, {sample.modality.name.lower()}, time {sample.time}"


def _notices(
    content: set[Path], unrecorded: set[Path], values: set[Path], missing: Sequence[str], *, refresh: bool
) -> list[str]:
    advice = "" if refresh else "; their old embeddings are kept, --refresh embeds them again"
    counts = [
        (content, f"changed since embedded{advice}"),
        (values, "have other values in the list than in the gallery" + ("" if refresh else "; --refresh takes them")),
        (
            unrecorded,
            "were embedded by an earlier version, which recorded no digest and ignored EXIF orientation"
            + ("" if refresh else "; --refresh embeds them again"),
        ),
        (set(map(Path, missing)), "of the gallery no longer exist"),
    ]
    return [
        f"{len(paths)} images {text} ({min(paths)}{', ...' if len(paths) > 1 else ''})"
        for paths, text in counts
        if paths
    ]
