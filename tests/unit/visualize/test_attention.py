"""A map colors what it marks."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vireid.visualize.attention import draw_attention, overlay, scaled
from vireid.visualize.tiles import Photographs


def test_strong_places_are_red_and_weak_ones_blue():
    gray = Image.new("RGB", (40, 80), (128, 128, 128))
    values = np.zeros((8, 4))
    values[:4] = 1
    pixels = np.asarray(overlay(gray, values), int)
    top, bottom = pixels[10, 20], pixels[70, 20]
    assert top[0] > top[2] + 30
    assert bottom[2] > bottom[0] + 10
    assert abs(bottom - 128).sum() < abs(top - 128).sum()  # more opaque where it is stronger


def test_each_map_spans_zero_to_one_and_a_flat_one_is_zero():
    maps = scaled(np.stack([np.arange(6.0).reshape(2, 3) * 7 + 3, np.full((2, 3), 4.0)]))
    assert (maps[0].min(), maps[0].max()) == (0, 1)
    assert not maps[1].any()


def test_one_column_for_a_picture_and_one_row_for_a_network(tmp_path):
    Image.new("RGB", (20, 40), (200, 30, 30)).save(tmp_path / "a.png")
    maps = {"baseline": np.random.default_rng(0).random((2, 6, 3))}
    photographs = Photographs()
    paths = [str(tmp_path / "a.png")] * 2
    one = draw_attention(paths, [["id 1"], ["id 2"]], maps, photographs, title="t")
    two = draw_attention(paths, [["id 1"], ["id 2"]], {**maps, "other": maps["baseline"]}, photographs, title="t")
    assert two.height - one.height == photographs.size[1] + 6
    assert one.width == two.width
    assert not photographs.unreadable
