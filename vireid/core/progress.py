"""Progress bars: a tqdm bar on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS = 10.0  # between two lines in a log file


@contextlib.contextmanager
def progress_bar(
    total: int, label: str, *, unit: str = "image", stream: TextIO | None = None, show: bool = True
) -> Iterator[Callable[[int], object]]:
    """Show the progress of a block of code.

    On a terminal this is a bar, which disappears at the end. Otherwise one line with the remaining time is printed
    every `SECONDS` seconds, so that a short task prints nothing.

    Args:
        total: Number of steps in total.
        label: Text before the bar or the numbers, such as "decoding images".
        unit: Name of one step.
        stream: Where to write; None is standard error.
        show: False shows nothing.

    Returns:
        A context that gives a function; call it with the number of steps finished since the last call.

    Example:
        >>> import io
        >>> with progress_bar(2, "decoding images", stream=io.StringIO()) as advance:
        ...     for _ in range(2):
        ...         _ = advance(1)
    """
    out: TextIO = sys.stderr if stream is None else stream
    if not show:
        yield lambda count: None
        return
    if out.isatty():
        with tqdm(total=total, desc=label, unit=unit, leave=False, dynamic_ncols=True, file=out) as bar:
            yield bar.update
        return
    done = 0
    start = printed = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, printed
        done += count
        now = time.monotonic()
        if now - printed >= SECONDS and 0 < done < total:
            printed = now
            left = (now - start) / done * (total - done)
            print(f"{label}: {done} of {total}, about {left:.0f} s left", file=out, flush=True)

    yield advance


def progress(
    items: Iterable[T], *, total: int, label: str, unit: str = "step", stream: TextIO | None = None
) -> Iterator[T]:
    """Yield the items and show the progress; see `progress_bar`.

    >>> list(progress([5, 6], total=2, label="epoch 1"))
    [5, 6]
    """
    with progress_bar(total, label, unit=unit, stream=stream) as advance:
        for item in items:
            yield item
            advance(1)
