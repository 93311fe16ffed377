"""Archive: several writer processes, readers during writes, and killed processes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from vireid.gallery import GalleryArchive, Selection

pytest.importorskip("lance")

WRITE = """
assert "torch" not in sys.modules
archive = GalleryArchive(folder)
start, batches = int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(start, start + batches):
    archive.append(rows(100 * number, 3))
    archive.upsert(rows(0, 1))
    print(number, flush=True)
"""


def test_two_writers_a_reader_and_a_killed_writer(tmp_path, rows_of, created, process):
    """Each writer acknowledges its batches; afterward every acknowledged batch is stored, and each batch is whole."""
    created(tmp_path / "a")
    writers = [process(WRITE, tmp_path / "a", 1, 6), process(WRITE, tmp_path / "a", 1001, 6)]
    doomed = process(WRITE, tmp_path / "a", 2001, 10_000)
    for writer in (*writers, doomed):
        assert writer.stdout.readline() == "ready\n"
    for writer in (*writers, doomed):
        writer.stdin.write("\n")
        writer.stdin.flush()
    acknowledged = [int(doomed.stdout.readline()) for _ in range(3)]
    reader = GalleryArchive(tmp_path / "a")
    while any(writer.poll() is None for writer in writers):
        reader.refresh()
        assert _whole(reader)
        doomed.kill()
        time.sleep(0.01)
    doomed.kill()
    rest, _ = doomed.communicate()
    acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    for writer in writers:
        out, _ = writer.communicate()
        assert writer.returncode == 0
        acknowledged += map(int, out.split())
    reader.refresh()
    stored = _whole(reader)
    assert set(acknowledged) <= stored <= {*acknowledged, max(acknowledged) + 1}  # committed, then killed
    assert {*range(1, 7), *range(1001, 1007)} <= stored
    assert reader.count(Selection(paths=("0.png",))) == 1  # of three processes that upserted it
    reader.append(rows_of(["after the kill"]))
    reader.compact(keep_days=0)
    assert _whole(GalleryArchive(tmp_path / "a")) == stored


def _whole(archive: GalleryArchive) -> set[int]:
    """Return the numbers of the batches, each of which must have all of its rows and embeddings."""
    paths = archive.columns(("path",))["path"].tolist()
    assert len(archive.embeddings()) == len(paths) == len(set(paths))
    numbers = np.array([int(path.split(".")[0]) for path in paths if path[0].isdigit()], int)
    batches, counts = np.unique(numbers[numbers > 0] // 100, return_counts=True)
    assert (counts == 3).all()
    return set(batches.tolist())


CREATE = """
print(GalleryArchive.create(folder, fingerprint="f" * 64, width=8).append(rows(int(sys.argv[2]), 3)))
"""


def test_two_processes_create_one_archive(tmp_path, process):
    creators = [process(CREATE, tmp_path / "a", start) for start in (0, 10)]
    versions = sorted(int(creator.communicate()[0]) for creator in creators)
    assert versions == [2, 3]
    assert GalleryArchive(tmp_path / "a").count() == 6
