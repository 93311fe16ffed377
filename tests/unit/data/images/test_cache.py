from __future__ import annotations

import contextlib
import errno
import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.images import cache
from vireid.data.images.cache import open_images
from vireid.data.images.decode import mode_fault

SIZE = (24, 12)
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def samples(tmp_path: Path, make_image: Callable[..., None]) -> list[Sample]:
    """Five images of different sizes."""
    files = [tmp_path / "data" / f"cam{1 + n % 2}" / f"{n:04d}.png" for n in range(5)]
    for seed, file in enumerate(files):
        make_image(file, seed, size=(30 + 7 * seed, 15 + seed))
    return [Sample(file, 0, Modality.VISIBLE, 1) for file in files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def reference(samples: list[Sample], size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.stack([np.array(Image.open(s.path).resize(size[::-1], Image.Resampling.LANCZOS)) for s in samples])


def names(folder: Path) -> list[str]:
    """Names of the files of caches; the list of content digests is tested with its module."""
    return sorted(file.name for file in folder.iterdir() if not file.name.startswith("digests."))


def test_rows_are_the_samples_resized_by_lanczos(samples: list[Sample], folder: Path) -> None:
    images = open_images(samples, size=SIZE, folder=folder)
    assert images.shape == (5, 24, 12, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, reference(samples))
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_the_file_is_an_ordinary_npy_with_a_side_file(samples: list[Sample], folder: Path) -> None:
    open_images(samples, size=SIZE, folder=folder)
    array, side, lock = (next(folder.glob(f"*x12{suffix}")) for suffix in (".npy", ".json", ".lock"))
    assert names(folder) == sorted([array.name, side.name, lock.name])
    np.testing.assert_array_equal(np.load(array), reference(samples))
    assert json.loads(side.read_text())["shape"] == [5, 24, 12, 3]


def test_the_second_call_decodes_nothing(samples: list[Sample], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_images(samples, size=SIZE, folder=folder)
    monkeypatch.setattr(cache, "_build", None)
    second = open_images(samples, size=SIZE, folder=folder)
    assert second.filename == first.filename


def test_grey_images_become_three_equal_channels(make_image: Callable[..., None], tmp_path: Path, folder: Path) -> None:
    make_image(tmp_path / "grey.png", 0, mode="L")
    images = open_images([Sample(tmp_path / "grey.png", 0, Modality.INFRARED, 3)], size=SIZE, folder=folder)
    grey = np.array(Image.open(tmp_path / "grey.png").resize((12, 24), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(images[0], np.repeat(grey[:, :, None], 3, axis=2))


def test_no_samples(folder: Path) -> None:
    assert open_images([], size=SIZE, folder=folder).shape == (0, 24, 12, 3)


def test_unusable_images_are_all_reported(samples: list[Sample], folder: Path, make_image: Callable[..., None]) -> None:
    paths = [sample.path for sample in samples]
    paths[0].write_bytes(b"")
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    paths[3].write_text("<html>404</html>")
    make_image(paths[4], 0, mode="RGBA")
    with pytest.raises(DataError) as caught:
        open_images(samples, size=SIZE, folder=folder)
    assert caught.value.text == "4 of 5 images cannot be used; replace or remove them"
    assert {finding.path: finding.text for finding in caught.value.findings} == {
        paths[0]: "the file is empty",
        paths[1]: "image file is truncated",
        paths[3]: "not an image",
        paths[4]: mode_fault("RGBA"),
    }
    assert [name for name in names(folder) if not name.endswith(".lock")] == []


def test_missing_images_are_all_reported_and_long_lists_are_cut(tmp_path: Path, folder: Path) -> None:
    lost = [Sample(tmp_path / f"{n:02d}.jpg", 0, Modality.VISIBLE, 1) for n in range(23)]
    with pytest.raises(DataError) as caught:
        open_images(lost, size=SIZE, folder=folder)
    assert [finding.path for finding in caught.value.findings] == [sample.path for sample in lost]
    assert str(caught.value).splitlines() == [
        "23 of 23 images cannot be used; replace or remove them (23 faults):",
        *(f"  - {tmp_path}/{n:02d}.jpg: No such file or directory" for n in range(10)),
        "    ... and 13 more unusable images",
    ]
    assert not folder.exists()


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 100)


def refill(file: Path) -> None:
    cut(file)
    os.truncate(file, file.stat().st_size + 100)  # the tail is zeros now


def lengthen(file: Path) -> None:
    os.truncate(file, file.stat().st_size + 100)


def garble_header(file: Path) -> None:
    with open(file, "r+b") as handle:
        handle.write(b"garbage")


def lose_side_file(file: Path) -> None:
    file.with_suffix(".json").unlink()


def garble_side_file(file: Path) -> None:
    file.with_suffix(".json").write_text('{"bytes": ')


@pytest.mark.parametrize("damage", [cut, refill, lengthen, garble_header, lose_side_file, garble_side_file])
def test_a_damaged_cache_is_rebuilt_with_one_warning(
    samples: list[Sample], folder: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    images = open_images(samples, size=SIZE, folder=folder)
    file = Path(images.filename)
    del images
    damage(file)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(open_images(samples, size=SIZE, folder=folder), reference(samples))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the image cache {file} is damaged (")
    assert record.getMessage().endswith("): rebuilding it")


def test_a_folder_that_cannot_be_written(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as caught:
        open_images(samples, size=SIZE, folder=tmp_path / "file")
    text = str(caught.value)
    assert text.startswith(f"cannot write the image cache {tmp_path}/file/")
    assert text.endswith("; it needs 0.00 GiB, set CACHE_DIR to a folder that can hold it")


@pytest.fixture
def full_disk() -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Within the context no file can grow beyond 2000 bytes, in this process."""
    resource = pytest.importorskip("resource", reason="no file size limit on this system")

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return full


def test_a_full_disk_leaves_nothing(samples: list[Sample], folder: Path, full_disk) -> None:
    with full_disk(), pytest.raises(DataError, match=r"cannot write the image cache .*: File too large; it needs"):
        open_images(samples, size=SIZE, folder=folder)
    assert [name for name in names(folder) if not name.endswith(".lock")] == []


def test_a_full_disk_leaves_the_old_cache_whole(samples: list[Sample], folder: Path, full_disk, monkeypatch) -> None:
    old = Path(open_images(samples[:3], size=SIZE, folder=folder).filename)
    before = {file.name: file.read_bytes() for file in (old, old.with_suffix(".json"))}
    with full_disk(), pytest.raises(DataError, match="File too large"):
        open_images(samples, size=SIZE, folder=folder)  # the data set grew
    assert {name: (folder / name).read_bytes() for name in names(folder) if not name.endswith(".lock")} == before
    monkeypatch.setattr(cache, "_build", None)
    np.testing.assert_array_equal(open_images(samples[:3], size=SIZE, folder=folder), reference(samples[:3]))


def test_a_cache_that_could_not_be_made_again_is_made_when_there_is_room(
    samples: list[Sample], folder: Path, full_disk
) -> None:
    file = Path(open_images(samples, size=SIZE, folder=folder).filename)
    cut(file)
    with full_disk(), pytest.raises(DataError, match="File too large"):
        open_images(samples, size=SIZE, folder=folder)
    np.testing.assert_array_equal(open_images(samples, size=SIZE, folder=folder), reference(samples))


def test_who_reads_a_cache_keeps_it_while_another_makes_it_again(samples: list[Sample], folder: Path) -> None:
    images = open_images(samples, size=SIZE, folder=folder)
    lose_side_file(Path(images.filename))
    again = open_images(samples, size=SIZE, folder=folder)
    assert again.filename == images.filename
    np.testing.assert_array_equal(images, reference(samples))


def test_what_a_killed_process_left_is_removed(samples: list[Sample], folder: Path) -> None:
    file = Path(open_images(samples, size=SIZE, folder=folder).filename)
    left = folder / f".{file.stem}.123.abcd.npy.tmp"
    left.write_bytes(b"half")
    file.unlink()
    open_images(samples, size=SIZE, folder=folder)
    assert not left.exists()


def _open_and_sum(samples: list[Sample], folder: Path, results: multiprocessing.Queue) -> None:
    results.put(int(open_images(samples, size=SIZE, folder=folder).sum(dtype=np.int64)))


def processes_together(count: int, samples: list[Sample], folder: Path) -> set[int]:
    """What that many processes read that open the same images at once."""
    results = FORK.Queue()
    processes = [FORK.Process(target=_open_and_sum, args=(samples, folder, results)) for _ in range(count)]
    for process in processes:
        process.start()
    sums = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return sums


def test_several_processes_at_once(samples: list[Sample], folder: Path) -> None:
    assert processes_together(4, samples, folder) == {int(reference(samples).sum(dtype=np.int64))}
    assert len(list(folder.glob("*.npy"))) == 1
    assert not list(folder.glob(".*.tmp"))


def test_processes_on_a_disk_without_locks(
    samples: list[Sample], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They work side by side, each on its copy; whoever is last replaces the same by the same."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    gate, read, parent = FORK.Barrier(2), cache.read_pixels, os.getpid()

    def together(*arguments: Any) -> Any:
        if os.getpid() != parent and arguments[0].endswith("0000.png"):
            gate.wait(timeout=60)  # neither goes on before both are writing
        return read(*arguments)

    monkeypatch.setattr(cache, "read_pixels", together)
    assert processes_together(2, samples, folder) == {int(reference(samples).sum(dtype=np.int64))}
    assert len(list(folder.glob("*.npy"))) == 1
    assert not list(folder.glob(".*.tmp"))
    monkeypatch.setattr(cache, "_build", None)
    np.testing.assert_array_equal(open_images(samples, size=SIZE, folder=folder), reference(samples))


def test_a_process_that_is_killed_while_writing_stops_nobody(
    samples: list[Sample], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, read, parent = FORK.Event(), cache.read_pixels, os.getpid()

    def stuck(*arguments: Any) -> Any:
        if os.getpid() != parent:
            reached.set()
            signal.pause()
        return read(*arguments)

    monkeypatch.setattr(cache, "read_pixels", stuck)
    victim = FORK.Process(target=_open_and_sum, args=(samples, folder, FORK.Queue()))
    victim.start()
    assert reached.wait(timeout=60)
    assert len(list(folder.glob(".*.npy.tmp"))) == 1  # it holds the lock and a half file
    waiting = threading.Thread(target=lambda: open_images(samples, size=SIZE, folder=folder))
    waiting.start()
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    waiting.join(timeout=60)
    assert not list(folder.glob(".*.tmp"))
    monkeypatch.setattr(cache, "_build", None)
    np.testing.assert_array_equal(open_images(samples, size=SIZE, folder=folder), reference(samples))
