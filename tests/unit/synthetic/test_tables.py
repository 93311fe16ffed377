from __future__ import annotations

from pathlib import Path

from vireid.data.attributes import read_attributes
from vireid.synthetic import World
from vireid.synthetic.tables import write_attributes, write_index


def test_an_index_counts_people_and_keeps_their_order(tmp_path: Path) -> None:
    write_index(tmp_path / "a.txt", (9, 4), {4: ["d"], 9: ["b", "c"], 5: ["x"]})
    assert (tmp_path / "a.txt").read_text() == "b 0\nc 0\nd 1\n"


def test_the_table_is_one_that_attributes_are_read_from(tmp_path: Path) -> None:
    world = World(seed=0)
    write_attributes(tmp_path / "a.csv", world, {n: {1: [1], 2: [2, 3]} for n in range(1, 30)})
    table = read_attributes(tmp_path / "a.csv")
    for number in range(1, 30):
        assert table.lookup(1, number) == tuple(world.attributes(number, 1).bits())
    unknown = {column for row in table.rows.values() for column, value in enumerate(row) if value == -1}
    assert unknown <= {6, 7}  # bags only
    assert unknown
