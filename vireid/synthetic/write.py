"""Write a synthetic dataset: worker processes, an atomic rename of the folder, and `synthetic.json`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from vireid.core.errors import UserError
from vireid.core.progress import progress_bar
from vireid.synthetic.layouts import LAYOUTS, People, layout_named
from vireid.synthetic.sysu import MOST
from vireid.synthetic.world import World

VERSION = 1  # of the generator: increased if the same parameters give other images
RECORD = "synthetic.json"
JPEG_QUALITY = 92
SMALLEST, LARGEST = 32, 2048
Job = tuple[int, list[tuple[int, int, str]]]  # identity, (camera, shot, path) of each image
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Parameters that determine the bytes of a synthetic dataset.

    Args:
        layout: Folder layout: sysu, regdb or llcm.
        identities: Number of identities.
        images: Images of each (identity, camera).
        seed: Random seed.
        size: (height, width) in pixels.
        difficulty: 0 (easy) to 1 (hard).
        test_identities: Number of test identities; None: the proportion of the real dataset.
        val_identities: Number of validation identities; None: the proportion of the real dataset.
    """

    layout: str = "sysu"
    identities: int = 160
    images: int = 10
    seed: int = 0
    size: tuple[int, int] = (288, 144)
    difficulty: float = 0.5
    test_identities: int | None = None
    val_identities: int | None = None

    def check(self) -> None:
        """Raise UserError with all impossible parameters."""
        problems = []
        if not 1 <= self.images <= MOST:
            problems.append(f"--images must be between 1 and {MOST}, got {self.images}")
        if self.seed < 0:
            problems.append(f"--seed must be at least 0, got {self.seed}")
        if not all(SMALLEST <= side <= LARGEST for side in self.size):
            problems.append(
                f"--size must have sides between {SMALLEST} and {LARGEST} pixels, got {self.size[0]}x{self.size[1]}"
            )
        if not 0 <= self.difficulty <= 1:
            problems.append(f"--difficulty must be between 0 and 1, got {self.difficulty:g}")
        try:
            layout_named(self.layout).split_sizes(self.identities, self.test_identities, self.val_identities)
        except UserError as error:
            problems.append(str(error))
        if problems:
            raise UserError("\n".join(problems))

    def world(self) -> World:
        """Build the identities and cameras."""
        cameras = dict(LAYOUTS[self.layout].cameras)
        return World(seed=self.seed, difficulty=self.difficulty, size=self.size, cameras=cameras)

    def people(self) -> People:
        """Choose the identities of each split and their cameras."""
        return LAYOUTS[self.layout].plan(
            seed=self.seed, identities=self.identities, test=self.test_identities, val=self.val_identities
        )

    def record(self) -> str:
        """Return the text of `synthetic.json`."""
        return json.dumps({"generator": "vireid synthetic people", "version": VERSION, **asdict(self)}, indent=2) + "\n"


def write_dataset(out: str | Path, recipe: Recipe, *, workers: int = 1, progress: bool = True) -> bool:
    """Write a dataset to a folder. No files are left after an error or Ctrl-C.

    A file that an older version did not write is added to an existing dataset, which is reported on stderr.

    Args:
        out: Folder.
        recipe: Parameters of the dataset.
        workers: Number of processes.
        progress: Whether a progress bar is shown.

    Returns:
        False if the same dataset exists already.

    Raises:
        UserError: For impossible parameters, or a folder that holds something else.
    """
    recipe.check()
    if workers < 1:
        raise UserError(f"--workers must be at least 1, got {workers}")
    out = Path(out)
    layout, people = LAYOUTS[recipe.layout], recipe.people()
    if _exists_already(out, recipe):
        for file in layout.add_missing(out, recipe.world(), people, recipe.images):
            print(f"{file}: added, because an older version of vireid wrote this dataset without it", file=sys.stderr)
        return False
    with _temporary_folder(out) as folder:
        layout.write_annotations(folder, recipe.world(), people, recipe.images)
        jobs = [
            (
                number,
                [
                    (camera, shot, layout.image_path(people, camera, number, shot))
                    for camera in people.cameras[number]
                    for shot in range(recipe.images)
                ],
            )
            for number in people.identities
        ]
        total = sum(len(pictures) for _, pictures in jobs)
        with progress_bar(total, f"writing {out.name}", show=progress) as advance:
            for written in _render_all(folder, recipe, jobs, workers):
                advance(written)
        (folder / RECORD).write_text(recipe.record(), encoding="ascii")
    return True


def _exists_already(out: Path, recipe: Recipe) -> bool:
    if out.is_file():
        raise UserError(f"{out} is a file; give --out a new folder")
    if not out.exists() or not any(out.iterdir()):
        return False
    record = out / RECORD
    if not record.is_file():
        raise UserError(f"{out} exists and is not empty; give --out another folder or remove this one")
    if record.read_text(encoding="utf-8", errors="replace") == recipe.record():
        return True
    raise UserError(
        f"{out} holds a synthetic dataset of other parameters (see {record}); "
        "give --out another folder or remove this one"
    )


@contextmanager
def _temporary_folder(out: Path) -> Iterator[Path]:
    """A temporary folder next to `out` that is renamed to it, or removed on an error, Ctrl-C or SIGTERM."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f".{out.name}.{os.getpid()}.partial"
    try:
        folder.mkdir()
    except OSError as error:
        raise UserError(f"cannot write next to {out}: {error.strerror}") from error
    try:
        with _terminate_is_exit():
            yield folder
            try:
                os.replace(folder, out)  # also over an empty folder
            except OSError as error:
                raise UserError(
                    f"{out} was created while the dataset was written; give --out another folder"
                ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _terminate_is_exit() -> Iterator[None]:
    """Raise SystemExit on SIGTERM, so that the temporary folder is removed; only possible in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _render_all(folder: Path, recipe: Recipe, jobs: list[Job], workers: int) -> Iterator[int]:
    """Write the images and yield their number after each identity. Images do not depend on the number of workers."""
    if workers == 1:
        _start_worker(folder, recipe, in_process=True)
        yield from map(_write_identity, jobs)
        return
    with _single_threaded():
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(folder, recipe)
        )
        try:
            for future in as_completed([pool.submit(_write_identity, job) for job in jobs]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Let worker processes inherit one thread each for linear algebra, because there is one process for each core."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


_job: tuple[Path, World] | None = None  # of this process


def _start_worker(folder: Path, recipe: Recipe, in_process: bool = False) -> None:
    global _job
    if not in_process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    _job = folder, recipe.world()


def _write_identity(job: Job) -> int:
    assert _job is not None
    folder, world = _job
    number, pictures = job
    for camera, shot, path in pictures:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(world.photograph(number, camera, shot)).save(folder / path, quality=JPEG_QUALITY)
    return len(pictures)
