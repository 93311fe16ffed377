"""Contact sheet of the test identities: one row for each identity, one column for each camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vireid.core.types import Modality
from vireid.runs.reading import Run
from vireid.visualize.tiles import FAINT, INK, LINE, PAPER, Photographs, font

MARGIN, GAP, LABEL, HEADER = 16, 6, 64, 2 * LINE + 22
_SIDES = {modality.name.lower(): int(modality) for modality in Modality}


@dataclass(frozen=True, order=True)
class Column:
    """A camera in one modality; one camera number may record both modalities."""

    modality: str
    camera: int


@dataclass(frozen=True)
class Sheet:
    """Image path of each identity and camera; None where the saved ranked lists hold no such image."""

    columns: Sequence[Column]
    identities: Sequence[int]
    cells: Sequence[Sequence[str | None]]  # [identity][column]
    total: int  # number of identities in the saved ranked lists


def contact_sheet(run: Run, number: int = 12) -> Sheet:
    """Choose at most `number` identities of the ranked lists at equal distances, with one image from each camera.

    Columns are sorted by modality (visible first), then by camera number.
    """
    images: dict[int, dict[Column, str]] = {}
    for lists in run.lists:
        query, gallery = run.modalities(lists.name)
        for modality, paths, ids, cameras in (
            (gallery, lists.gallery_path, lists.gallery_id, lists.gallery_camera),
            (query, lists.query_path, lists.query_id, lists.query_camera),
        ):
            for path, identity, camera in zip(paths.tolist(), ids.tolist(), cameras.tolist()):
                images.setdefault(identity, {}).setdefault(Column(modality, camera), path)
    columns = sorted({column for row in images.values() for column in row}, key=_place)
    known = sorted(images)
    rows = np.unique(np.linspace(0, len(known) - 1, min(number, len(known))).round().astype(int))
    identities = [known[row] for row in rows]
    return Sheet(columns, identities, [[images[i].get(column) for column in columns] for i in identities], len(known))


def _place(column: Column) -> tuple[int, str, int]:
    return _SIDES.get(column.modality, len(_SIDES)), column.modality, column.camera


def cell_box(row: int, column: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of an image in `draw_sheet`."""
    left = MARGIN + LABEL + column * (size[0] + GAP)
    top = MARGIN + HEADER + row * (size[1] + GAP)
    return left, top, left + size[0], top + size[1]


def draw_sheet(sheet: Sheet, photographs: Photographs) -> Image.Image:
    """Draw the contact sheet; a missing image is a blank place with a thin outline."""
    size = photographs.size
    right, bottom = cell_box(len(sheet.identities) - 1, len(sheet.columns) - 1, size)[2:]
    picture = Image.new("RGB", (right + MARGIN, bottom + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, column in enumerate(sheet.columns):
        left, top, right, _ = cell_box(0, number, size)
        middle = (left + right) / 2
        draw.text((middle, top - 2 * LINE - 6), column.modality, fill=FAINT, font=font(12), anchor="ma")
        draw.text((middle, top - LINE - 6), f"camera {column.camera}", fill=INK, font=font(12), anchor="ma")
    for row, (identity, cells) in enumerate(zip(sheet.identities, sheet.cells)):
        _, top, _, bottom = cell_box(row, 0, size)
        draw.text((MARGIN, (top + bottom) / 2), f"id {identity}", fill=INK, font=font(13), anchor="lm")
        for number, path in enumerate(cells):
            box = cell_box(row, number, size)
            if path is None:
                draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=(222, 224, 228))
            else:
                picture.paste(photographs(path), box[:2])
    return picture
