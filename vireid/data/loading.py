"""Batch loader: a thread gathers rows of the uint8 image cache while the device computes the previous batch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from vireid.core.errors import ArgumentError
from vireid.core.types import Batch, Modality, Sample
from vireid.data.rows import RowView


def sequential_batches(count: int, size: int) -> list[list[int]]:
    """Split row numbers 0 .. count - 1 into batches of `size` in order; the last batch may be smaller.

    >>> sequential_batches(5, 2)
    [[0, 1], [2, 3], [4]]
    """
    if size < 1:
        raise ArgumentError("size", f"must be at least 1, got {size}")
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]


class BatchLoader:
    """Iterate over batches of uint8 images.

    A thread prepares batches ahead; its exceptions are raised in the consumer. Leaving the loop early stops the thread.
    `Batch.images` is a (B, 3, H, W) view of (B, H, W, 3) memory, which torch calls channels_last. `attributes` and
    `attributes_known` are None if no sample has attributes; otherwise a row without attributes is zero and unknown.

    Args:
        samples: Images.
        images: (N, H, W, 3) uint8 pixels, row i = samples[i] (`open_images`).
        batches: Lists of row numbers; a sampler is one.
        prefetch: Batches prepared ahead.
        pin: Whether the images are in page-locked memory, so that copies to a GPU are asynchronous.
        views: Modality of each further view (None: both): every image of that modality is in the batch once more, with
            `Batch.view` 1 for the first entry, 2 for the second, and so on. Rows are then sorted by modality and view.
            The augmentation makes the views differ.
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
            raise ArgumentError("images", f"must have a row for each of {len(samples)} samples, got {len(images)}")
        if prefetch < 1:
            raise ArgumentError("prefetch", f"must be at least 1, got {prefetch}")
        self.samples, self.images, self.batches = samples, images, batches
        self.prefetch, self.pin, self.views = prefetch, pin, tuple(views)
        count = len(samples)
        self.labels = torch.from_numpy(np.fromiter((s.identity for s in samples), np.int64, count))
        self.modality = torch.from_numpy(np.fromiter((s.modality for s in samples), np.int64, count))
        self.cameras = torch.from_numpy(np.fromiter((s.camera for s in samples), np.int64, count))
        self.attributes, self.attributes_known = _attribute_tables(samples)

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def relabel(self, labels: np.ndarray) -> None:
        """Replace the labels of all images, (N,) int64; to be called while no iteration is in progress.

        Raises:
            ArgumentError: If there are not as many labels as images.
        """
        if len(labels) != len(self.samples):
            raise ArgumentError("labels", f"must be one for each of {len(self.samples)} images, got {len(labels)}")
        self.labels = torch.from_numpy(np.array(labels, np.int64))

    def batch(self, rows: Sequence[int]) -> Batch:
        """Gather the batch of these rows."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        invalid = index[(index < 0) | (index >= len(self.samples))]
        if len(invalid):
            raise IndexError(f"row {int(invalid[0])} of a batch does not exist: there are {len(self.samples)} images")
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
            repeated = index if wanted is None else index[modality == wanted]
            parts.append(repeated)
            views.append(torch.full_like(repeated, number))
        rows, view = torch.cat(parts), torch.cat(views)
        order = torch.argsort(self.modality[rows] * (len(self.views) + 1) + view, stable=True)
        return rows[order], view[order]

    def __iter__(self) -> Iterator[Batch]:
        return _prefetched(iter(self.batches), self.batch, self.prefetch)


def _prefetched(rows: Iterator[Sequence[int]], make, ahead: int) -> Iterator[Batch]:
    """make(r) for r in rows, computed by a thread at most `ahead` items ahead."""
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
    """(N, A) float32 values and (N, A) bool "annotated"; None if no sample has attributes."""
    widths = {len(sample.attributes) for sample in samples if sample.attributes is not None}
    if not widths:
        return None, None
    if len(widths) > 1:
        raise ArgumentError("samples", f"have different numbers of attributes: {sorted(widths)}")
    (width,) = widths
    values = torch.zeros(len(samples), width)
    known = torch.zeros(len(samples), width, dtype=torch.bool)
    for row, sample in enumerate(samples):
        if sample.attributes is not None:
            annotated = torch.tensor(sample.attributes, dtype=torch.float32)
            known[row] = annotated >= 0
            values[row] = annotated.clamp_min(0)
    return values, known
