"""Curves: what is drawn, read back from the figure before it becomes a picture."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vireid.runs.history import Epochs
from vireid.runs.reading import read_run
from vireid.visualize import curves, drawing


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The figure of a curve function, after its picture was checked to be one."""
    kept: list[Any] = []
    png = curves.save

    def keep(figure: Any, theme: drawing.Theme, form: str = "png") -> bytes:
        kept.append(figure)
        return png(figure, theme, form)

    monkeypatch.setattr(curves, "save", keep)

    def draw(function: Callable[..., bytes], *arguments: Any) -> Any:
        picture = Image.open(io.BytesIO(function(*arguments)))
        assert picture.size[0] == round(drawing.WIDTH * drawing.DPI)
        assert np.asarray(picture.convert("L")).std() > 5  # something is on it
        return kept[-1]

    return draw


def series(axes: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_loss_curves(finished: Path, drawn: Callable[..., Any]) -> None:
    losses, rate = drawn(curves.loss_curves, read_run(finished).epochs).axes
    assert series(losses) == {
        "id": ([1, 2, 3], [5.0, 2.5, 5.0 / 3]),
        "triplet": ([1, 2, 3], [0.5, 0.25, 0.5 / 3]),
        "weighted sum": ([1, 2, 3], [6.0, 3.0, 2.0]),
    }
    assert losses.get_yscale() == "log"  # 6 is over 30 times 1/6
    assert losses.get_ylabel() == "mean loss of an epoch (log scale)"
    assert [list(line.get_ydata()) for line in rate.get_lines()] == [[0.1, 0.1, 0.1]]
    assert rate.get_xlabel() == "epoch"


def test_losses_at_or_below_zero_stay_linear(drawn: Callable[..., Any]) -> None:
    epochs = Epochs([1, 2], [0.1, 0.1], {"id": [100.0, 50.0], "kl": [-0.1, float("nan")]})
    assert drawn(curves.loss_curves, epochs).axes[0].get_yscale() == "linear"


def test_one_epoch_and_many_terms(drawn: Callable[..., Any]) -> None:
    """A single point has a marker, and no two lines look the same."""
    epochs = Epochs([1], [0.1], {f"term_{number}/with_a_long_name": [1.0 + number] for number in range(20)})
    lines = drawn(curves.loss_curves, epochs).axes[0].get_lines()
    assert all(line.get_marker() == "o" for line in lines)
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 20


def test_cmc_curves(finished: Path, drawn: Callable[..., Any]) -> None:
    results = read_run(finished).results
    figure = drawn(curves.cmc_curves, results)
    (axes,) = figure.axes
    found = series(axes)
    for result, label in zip(results, ("all: rank-1 31.2 %", "indoor: rank-1 36.2 %")):
        ranks, values = found[label]
        assert ranks == list(range(1, 21))
        assert values == pytest.approx([100 * value for value in result.cmc])
    bars = axes.containers[0].lines[2][0].get_segments()  # one standard deviation to each side, at the printed ranks
    assert [segment[0][0] for segment in bars] == [1, 5, 10, 20]
    assert [segment[1][1] - segment[0][1] for segment in bars] == pytest.approx([2 * 1.17] * 4)
    assert axes.get_title(loc="left") == ("CMC: SYSU-MM01, infrared to visible\nsingle-shot, 2 trials, no re-ranking")
    assert not any("chance" in label for label in found)  # it was not worked out, so it is not drawn


def test_evaluation_curves(finished: Path, drawn: Callable[..., Any]) -> None:
    run = read_run(finished)
    found = series(drawn(curves.evaluation_curves, run.evaluations, run.results).axes[0])
    assert list(found) == ["all: rank-1", "all: mAP", "all: mINP"]
    assert found["all: mAP"][1] == pytest.approx([5, 10, 15])


def test_same_run_gives_the_same_bytes_and_themes_differ(finished: Path) -> None:
    results = read_run(finished).results
    assert curves.cmc_curves(results) == curves.cmc_curves(results)
    dark = np.asarray(Image.open(io.BytesIO(curves.cmc_curves(results, drawing.DARK))).convert("L"))
    assert np.median(dark) < 60


def test_matplotlib_settings_are_put_back(finished: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    curves.cmc_curves(read_run(finished).results)
    assert dict(matplotlib.rcParams) == before


def test_names_are_text_and_not_formulas(drawn: Callable[..., Any]) -> None:
    figure = drawn(curves.loss_curves, Epochs([1, 2], [0.1, 0.1], {"$broken^{": [1.0, 2.0]}))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["$broken^{"]
