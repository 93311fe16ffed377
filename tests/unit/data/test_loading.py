from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.core.types import Modality, Sample
from vireid.data.loading import BatchLoader, sequential_batches

COUNT = 7


def make_samples(attributes: dict[int, tuple[int, ...]] | None = None) -> list[Sample]:
    return [
        Sample(Path(f"{n}.jpg"), 10 + n, Modality(n % 2), 1 + n % 6, (attributes or {}).get(n)) for n in range(COUNT)
    ]


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 6, 4, 3), np.uint8)


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "vireid-loader"]


def test_batches_hold_the_rows_that_were_asked_for(images: np.ndarray) -> None:
    rows = [[3, 0, 3], [6]]
    loader = BatchLoader(make_samples(), images, rows)
    assert len(loader) == 2
    for wanted, batch in zip(rows, loader, strict=True):
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1), images[wanted])
        assert batch.index.tolist() == wanted
        assert batch.labels.tolist() == [10 + n for n in wanted]
        assert batch.modality.tolist() == [n % 2 for n in wanted]
        assert batch.cameras.tolist() == [1 + n % 6 for n in wanted]
        assert batch.view.tolist() == [0] * len(wanted)
        assert batch.attributes is None
        assert batch.attributes_known is None
    assert [len(batch) for batch in loader] == [3, 1]  # and again from the start


def test_a_batch_is_a_copy(images: np.ndarray) -> None:
    images.setflags(write=False)
    (batch,) = BatchLoader(make_samples(), images, [[0]])
    batch.images.zero_()
    assert images[0].any()


def test_attributes_and_who_has_them(images: np.ndarray) -> None:
    (batch,) = BatchLoader(make_samples({1: (1, 0), 2: (0, 0)}), images, [[2, 0, 1]])
    assert batch.attributes is not None
    assert batch.attributes_known is not None
    assert batch.attributes.tolist() == [[0, 0], [0, 0], [1, 0]]
    assert batch.attributes_known.tolist() == [[True, True], [False, False], [True, True]]


def test_attributes_of_different_widths_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"samples have different numbers of attributes: \[1, 2\]"):
        BatchLoader(make_samples({1: (1, 0), 2: (0,)}), images, [])


def test_lengths_that_differ_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must have a row for each of 7 samples, got 6"):
        BatchLoader(make_samples(), images[:6], [])


@pytest.mark.parametrize("row", [7, -1])
def test_a_row_that_does_not_exist(images: np.ndarray, row: int) -> None:
    with pytest.raises(IndexError, match=f"row {row} of a batch does not exist: there are 7 images"):
        list(BatchLoader(make_samples(), images, [[0], [0, row]]))


def test_what_goes_wrong_in_the_thread_is_raised_in_the_consumer(images: np.ndarray) -> None:
    class Broken:
        def __iter__(self) -> Iterator[list[int]]:
            yield [0]
            raise RuntimeError("the sampler failed")

    seen = []
    with pytest.raises(RuntimeError, match="the sampler failed"):
        seen.extend(BatchLoader(make_samples(), images, Broken()))
    assert not loader_threads()


def _divide_by_zero(loader: BatchLoader) -> None:
    for _ in loader:
        _ = 1 / 0


def test_leaving_early_stops_the_thread(images: np.ndarray) -> None:
    endless = BatchLoader(make_samples(), images, [[0]] * 10_000)
    for _ in endless:
        break
    iterator = iter(endless)
    next(iterator)
    assert loader_threads()
    del iterator
    with pytest.raises(ZeroDivisionError):
        _divide_by_zero(endless)
    assert not loader_threads()


def test_no_more_batches_are_prepared_than_asked_for(images: np.ndarray) -> None:
    made = []

    class Counted:
        def __iter__(self) -> Iterator[list[int]]:
            for n in range(100):
                made.append(n)
                yield [0]

    for taken, _ in enumerate(BatchLoader(make_samples(), images, Counted(), prefetch=2), start=1):
        time.sleep(0.002)
        assert len(made) <= taken + 2 + 1  # taken, waiting, being made


@pytest.mark.parametrize(("count", "size", "lengths"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (0, 3, [])])
def test_sequential_batches(count: int, size: int, lengths: list[int]) -> None:
    batches = sequential_batches(count, size)
    assert [len(batch) for batch in batches] == lengths
    assert [row for batch in batches for row in batch] == list(range(count))


def test_sequential_batches_of_nothing() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        sequential_batches(3, 0)
