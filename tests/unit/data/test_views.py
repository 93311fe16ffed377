"""More rows of the same image, and augmentations that are for some rows only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vireid.config import Build, check_config
from vireid.config.load import read_unchecked
from vireid.core.errors import ConfigError
from vireid.core.types import Batch, Modality, Sample
from vireid.data.augment.pixels import normalize
from vireid.data.augment.transforms import Augment, Augmentation, PadCrop, RowFilter
from vireid.data.loading import BatchLoader
from vireid.zoo.models import config_path


class Fill(Augmentation):
    """Paints everything; draws a number for each row that it is given."""

    def __init__(self, value: float) -> None:
        self.value, self.seen = value, []

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        self.seen.append((batch.modality.tolist(), batch.view.tolist()))
        torch.rand(len(images), generator=generator)
        return images.fill_(self.value)


class Shift(Augmentation):
    """Moves everything one row down."""

    def locate(self, rows: Tensor, columns: Tensor, *, size, generator: Generator):
        return rows - 1, columns


def loader(views) -> BatchLoader:
    samples = [Sample(Path(f"{n}.jpg"), n // 2, Modality(n % 2), 1) for n in range(6)]
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 3, 3), np.uint8)
    return BatchLoader(samples, images, [[4, 1, 2, 3]], views=views)


def columns(batch: Batch) -> list[tuple[int, ...]]:
    return list(zip(batch.index.tolist(), batch.modality.tolist(), batch.view.tolist(), batch.labels.tolist()))


def test_without_views_rows_stay_as_the_sampler_gave_them():
    (batch,) = loader(())
    assert columns(batch) == [(4, 0, 0, 2), (1, 1, 0, 0), (2, 0, 0, 1), (3, 1, 0, 1)]


def test_a_view_of_one_modality_stands_between_its_rows_and_the_others():
    (batch,) = loader([Modality.VISIBLE])
    assert columns(batch) == [(4, 0, 0, 2), (2, 0, 0, 1), (4, 0, 1, 2), (2, 0, 1, 1), (1, 1, 0, 0), (3, 1, 0, 1)]
    assert torch.equal(batch.images[0], batch.images[2])
    assert batch.to("cpu").visible == 4


def test_views_are_numbered_by_their_place():
    (batch,) = loader([Modality.INFRARED, None])
    assert [(m, v) for _, m, v, _ in columns(batch)] == [(0, 0)] * 2 + [(0, 2)] * 2 + [
        (1, view) for view in (0, 0, 1, 1, 2, 2)
    ]


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_limited_step_touches_its_rows_only(shuffled):
    (batch,) = loader([Modality.VISIBLE])
    if shuffled:
        batch = batch.select(torch.tensor([3, 5, 0, 2, 4, 1]))
    plain, fill = normalize(batch.images), Fill(7.0)
    augment = Augment({"fill": fill}, seed=0, only={"fill": RowFilter(Modality.VISIBLE, 1)})
    before = batch.images.clone()
    images = augment(batch, epoch=0, step=0).images
    chosen = (batch.modality == Modality.VISIBLE) & (batch.view == 1)
    assert (images[chosen] == 7).all()
    assert torch.equal(images[~chosen], plain[~chosen])
    assert fill.seen == [([0, 0], [1, 1])]
    assert torch.equal(batch.images, before)
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shuffled", [False, True])
def test_pixels_move_in_the_chosen_rows_only(shuffled):
    (batch,) = loader([Modality.VISIBLE])
    if shuffled:
        batch = batch.select(torch.tensor([3, 5, 0, 2, 4, 1]))
    images = Augment({"shift": Shift()}, seed=0, only={"shift": RowFilter(view=1)})(batch, epoch=0, step=0).images
    plain = normalize(batch.images)
    black = normalize(torch.zeros(1, 3, 1, 1, dtype=torch.uint8))[0, :, 0, 0]
    for row, view in enumerate(batch.view.tolist()):
        if view == 1:
            assert torch.equal(images[row, :, 1:], plain[row, :, :-1])
            assert torch.equal(images[row, :, 0], black[:, None].expand(3, 3))
        else:
            assert torch.equal(images[row], plain[row])


def test_a_step_is_used_in_its_epochs_only():
    (batch,) = loader(())
    augment = Augment({"fill": Fill(7.0)}, seed=0, only={"fill": RowFilter(Modality.VISIBLE, start=1, stop=3)})
    visible, plain = batch.modality == Modality.VISIBLE, normalize(batch.images)
    for epoch in range(4):
        images = augment(batch, epoch=epoch, step=0).images
        assert torch.equal(images[~visible], plain[~visible])
        assert bool((images[visible] == 7).all()) is (epoch in (1, 2))
        assert epoch in (1, 2) or torch.equal(images, plain)


def test_a_step_without_epochs_is_refused():
    with pytest.raises(ValueError, match=r"stop must be above start \(2\), got 2"):
        RowFilter(start=2, stop=2)


def test_a_step_without_rows_takes_no_draw():
    (batch,) = loader(())
    steps = {"nobody": Fill(1.0), "all": Fill(2.0)}
    Augment(steps, seed=0, only={"nobody": RowFilter(view=3)})(batch, epoch=0, step=0)
    assert steps["nobody"].seen == [([], [])]
    assert len(steps["all"].seen[0][0]) == 4


def test_the_host_remembers_what_left_it():
    (batch,) = loader([Modality.VISIBLE])
    there = batch.to("meta")
    modality, view = there.host_columns()
    assert modality.tolist() == batch.modality.tolist()
    assert view.tolist() == batch.view.tolist()
    assert there.to("meta").host is there.host
    assert batch.select(slice(0, 2)).host is None


def config(**changes):
    return read_unchecked(config_path("sysu/caj"), changes)


def test_the_config_of_caj_makes_two_views():
    assert Build(check_config(config())).views() == [Modality.VISIBLE]
    augment = Build(check_config(config())).augment()
    assert list(augment.steps) == ["crop", "flip", "erasing", "channels", "views.exchanged"]
    assert augment.only == {"channels": RowFilter(Modality.INFRARED), "views.exchanged": RowFilter(Modality.VISIBLE, 1)}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"AUGMENTATION.CHANNELS.VIEW": 2},
            "command line: AUGMENTATION.CHANNELS.VIEW = 2, but VIEWS has 1 entry",
        ),
        (
            {"AUGMENTATION.CHANNELS.VIEW": 1},
            "command line: AUGMENTATION.CHANNELS.VIEW = 1, but entry 1 of VIEWS is of visible images",
        ),
        (
            {"VIEWS.EXCHANGED.MODALITY": "visble"},
            "command line: VIEWS.EXCHANGED.MODALITY = 'visble' is not one of ('visible', 'infrared'); "
            "did you mean 'visible'?",
        ),
    ],
)
def test_mistakes_in_views(changes, text):
    with pytest.raises(ConfigError) as error:
        check_config(config(**changes))
    assert [str(problem) for problem in error.value.problems] == [text]


def test_borders_of_different_greys_where_no_row_has_both():
    (batch,) = loader([Modality.VISIBLE])
    batch = batch.with_images(torch.full_like(batch.images, 255))
    steps = {"plain": PadCrop(padding=2, fill=127), "exchanged": PadCrop(padding=2)}
    only = {"plain": RowFilter(view=0), "exchanged": RowFilter(view=1)}
    found = {0: set(), 1: set()}
    for step in range(20):
        images = Augment(steps, seed=0, only=only)(batch, epoch=0, step=step).images
        levels = ((images[:, 0] * 0.229 + 0.485) * 255).round().long()
        for row, view in enumerate(batch.view.tolist()):
            found[view] |= set(levels[row].flatten().tolist())
    assert found == {0: {127, 255}, 1: {0, 255}}
    with pytest.raises(ValueError, match=r"have one gray value outside of images, got \[0, 127\]"):
        Augment(steps, seed=0, only={"plain": RowFilter(view=0)})
