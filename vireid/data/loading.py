"""Batches from the uint8 cache: rows are gathered by a thread while the device works on the batch before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from vireid.core.types import Batch, Modality, Sample
from vireid.data.rows import RowView


def sequential_batches(count: int, size: int) -> list[list[int]]:
    """Row numbers 0 .. count-1 in order, `size` at a time; the last batch may be smaller.

    >>> sequential_batches(5, 2)
    [[0, 1], [2, 3], [4]]
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]


class BatchLoader:
    """Iterates over `batches` (lists of row numbers; a sampler is one) and yields `Batch`es of uint8 images.

    `images` is (N, H, W, 3) uint8, row i = samples[i] (a memory map as `open_images` gives it). Batch.images is a
    (B, 3, H, W) view of that memory order, which torch calls channels_last. `attributes` and `attributes_known` are
    there if any sample has attributes; an unlabelled row is zero and unknown.

    `views` asks for more rows of the same image: for its first entry every image of that modality (None: of both)
    stands in the batch once more with `Batch.view` 1, for the second with view 2, and so on. Rows are then sorted by
    modality and view. What makes a view another one is left to the augmentation.

    A thread prepares up to `prefetch` batches ahead; what goes wrong in it is raised in the consumer. Leaving the loop
    early stops the thread. `pin` puts the images into page-locked memory, from where copies to a GPU do not wait.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        images: np.ndarray | RowView,
        batches: Iterable[Sequence[int]],
        *,
        prefetch: int = 3,
        pin: bool = False,
        views: Sequence[Modality | None] = (),
    ) -> None:
        if len(samples) != len(images):
            raise ValueError(f"{len(samples)} samples but {len(images)} images")
        if prefetch < 1:
            raise ValueError(f"prefetch must be at least 1, got {prefetch}")
        self.samples, self.images, self.batches = samples, images, batches
        self.prefetch, self.pin, self.views = prefetch, pin, tuple(views)
        count = len(samples)
        self.labels = torch.from_numpy(np.fromiter((s.identity for s in samples), np.int64, count))
        self.modality = torch.from_numpy(np.fromiter((s.modality for s in samples), np.int64, count))
        self.cameras = torch.from_numpy(np.fromiter((s.camera for s in samples), np.int64, count))
        self.attributes, self.attributes_known = _attribute_tables(samples)

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def batch(self, rows: Sequence[int]) -> Batch:
        """The batch of these rows, gathered now."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        strangers = index[(index < 0) | (index >= len(self.samples))]
        if len(strangers):
            raise IndexError(f"a batch asks for row {int(strangers[0])} of {len(self.samples)} images")
        index, view = self._with_views(index)
        images = torch.empty((len(index), *self.images.shape[1:]), dtype=torch.uint8, pin_memory=self.pin)
        self.images.take(index.numpy(), axis=0, out=images.numpy(), mode="clip")  # "raise" would buffer `out`
        return Batch(
            images=images.permute(0, 3, 1, 2),
            labels=self.labels[index],
            modality=self.modality[index],
            cameras=self.cameras[index],
            view=view,
            index=index,
            attributes=None if self.attributes is None else self.attributes[index],
            attributes_known=None if self.attributes_known is None else self.attributes_known[index],
        )

    def _with_views(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B,) row numbers -> (B',) row numbers and (B',) the view of each."""
        if not self.views:
            return index, torch.zeros_like(index)
        modality = self.modality[index]
        parts, views = [index], [torch.zeros_like(index)]
        for number, wanted in enumerate(self.views, start=1):
            again = index if wanted is None else index[modality == wanted]
            parts.append(again)
            views.append(torch.full_like(again, number))
        rows, view = torch.cat(parts), torch.cat(views)
        order = torch.argsort(self.modality[rows] * (len(self.views) + 1) + view, stable=True)
        return rows[order], view[order]

    def __iter__(self) -> Iterator[Batch]:
        return _prefetched(iter(self.batches), self.batch, self.prefetch)


def _prefetched(rows: Iterator[Sequence[int]], make, ahead: int) -> Iterator[Batch]:
    """make(r) for r in rows, computed by a thread at most `ahead` items early."""
    ready: queue.Queue = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue
        return None

    def work() -> None:
        try:
            for each in rows:
                if stop.is_set():
                    return
                put((make(each), None))
            put((None, None))
        except BaseException as error:  # raised again where the batches are used
            put((None, error))

    thread = threading.Thread(target=work, name="vireid-loader", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        stop.set()
        thread.join()


def _attribute_tables(samples: Sequence[Sample]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """(N, A) float32 values and (N, A) bool "somebody annotated this", or nothing where no sample has attributes."""
    widths = {len(sample.attributes) for sample in samples if sample.attributes is not None}
    if not widths:
        return None, None
    if len(widths) > 1:
        raise ValueError(f"samples have different numbers of attributes: {sorted(widths)}")
    (width,) = widths
    values = torch.zeros(len(samples), width)
    known = torch.zeros(len(samples), width, dtype=torch.bool)
    for row, sample in enumerate(samples):
        if sample.attributes is not None:
            annotated = torch.tensor(sample.attributes, dtype=torch.float32)
            known[row] = annotated >= 0
            values[row] = annotated.clamp_min(0)
    return values, known
