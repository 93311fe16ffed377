"""Contact sheet: rows are people, columns are cameras, absent ones blank."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vireid.runs.reading import read_run
from vireid.visualize.sheet import Column, cell_box, contact_sheet, draw_sheet
from vireid.visualize.tiles import PAPER, Photographs

COLUMNS = [Column("visible", 1), Column("visible", 2), Column("infrared", 3), Column("infrared", 6)]


def test_who_stands_where(finished: Path) -> None:
    sheet = contact_sheet(read_run(finished))
    assert list(sheet.columns) == COLUMNS
    assert list(sheet.identities) == [1, 2, 3, 9]
    assert sheet.total == 4
    assert [[path is not None for path in row] for row in sheet.cells] == [
        [True, True, True, True],
        [True, True, True, True],
        [True, False, True, True],
        [False, False, True, False],
    ]
    for identity, row in zip(sheet.identities, sheet.cells):
        for column, path in zip(sheet.columns, row):
            assert path is None or path.endswith(f"alert({identity})/cam{column.camera} & co.png")


def test_identities_at_even_distances(finished: Path) -> None:
    sheet = contact_sheet(read_run(finished), 2)
    assert list(sheet.identities) == [1, 9]
    assert sheet.total == 4


def test_pixels(finished: Path) -> None:
    sheet, photographs = contact_sheet(read_run(finished)), Photographs((40, 80))
    pixels = np.asarray(draw_sheet(sheet, photographs))
    for row, (identity, cells) in enumerate(zip(sheet.identities, sheet.cells)):
        for number, (column, path) in enumerate(zip(sheet.columns, cells)):
            left, top, right, bottom = cell_box(row, number, photographs.size)
            color = PAPER if path is None else (20 * identity, 10 * column.camera, 200)
            assert (pixels[top + 1 : bottom - 1, left + 1 : right - 1] == color).all()
