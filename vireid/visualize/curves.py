"""Plots of a run: loss curves, learning rate, scores during training, CMC curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vireid.core.errors import UserError, nearest
from vireid.evaluation.report import MAIN_METRICS, metric_heading
from vireid.runs.history import Epochs, Measured
from vireid.runs.reading import Result
from vireid.visualize.drawing import (
    DASHES,
    LIGHT,
    MARKERS,
    Form,
    Theme,
    dots,
    figure_of,
    legend,
    look,
    plain_ticks,
    save,
    whole_numbers,
)

SCORES = {name: metric_heading(name) for name in MAIN_METRICS}


def loss_curves(epochs: Epochs, theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Plot the mean of each loss term over each epoch, and below it the learning rate.

    The loss axis is logarithmic if all values are positive and the largest is over 30 times the smallest.
    """
    with figure_of(theme, height=4.7, panels=(3.2, 1.0)) as (figure, (losses, rate)):
        for number, (name, values) in enumerate(epochs.terms.items()):
            total = name == "loss"
            style = {"color": theme.ink, "linewidth": 2.4} if total else look(theme, number)
            losses.plot(epochs.epoch, values, label="weighted sum" if total else name, **style, **dots(epochs.epoch))
        values = [value for series in epochs.terms.values() for value in series if math.isfinite(value)]
        wide = bool(values) and min(values) > 0 and max(values) > 30 * min(values)
        if wide:
            losses.set_yscale("log")
            plain_ticks(losses)
        elif values and min(values) >= 0:
            losses.set_ylim(bottom=0)
        losses.set_ylabel("mean loss of an epoch" + (" (log scale)" if wide else ""))
        losses.set_title("Loss terms before weighting, and their weighted sum", loc="left")
        legend(figure, losses)
        rate.plot(epochs.epoch, epochs.lr, color=theme.ink, drawstyle="steps-mid", linewidth=1.8, **dots(epochs.epoch))
        rate.set_ylim(bottom=0)
        rate.set_ylabel("learning rate")
        rate.set_xlabel("epoch")
        figure.align_ylabels()
        whole_numbers(rate)
        return save(figure, theme, form)


def term_curves(runs: Mapping[str, Epochs], term: str, theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Plot one loss term over the epochs, one line for each run that logged it.

    Raises:
        UserError: If the term is missing in all runs.
    """
    logged = {name: epochs for name, epochs in runs.items() if term in epochs.terms}
    if not logged:
        known = sorted({other for epochs in runs.values() for other in epochs.terms})
        raise UserError(
            f"loss term {term!r} is missing in all runs{nearest(term, known)}; logged terms: {', '.join(known)}"
        )
    with figure_of(theme, height=4.0) as (figure, (axes,)):
        for number, (name, epochs) in enumerate(logged.items()):
            axes.plot(epochs.epoch, epochs.terms[term], label=name, **look(theme, number), **dots(epochs.epoch))
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{term}: mean of an epoch")
        axes.set_ylim(bottom=0)
        whole_numbers(axes)
        legend(figure, axes)
        return save(figure, theme, form)


def cmc_curves(results: Sequence[Result], theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Plot the CMC curve of each protocol, averaged over the trials.

    Error bars at the printed ranks are one sample standard deviation over the trials. A ring at rank 1 is the score of
    a random ranking where the evaluation computed it; the saved results hold it for rank 1 only.
    """
    with figure_of(theme, height=4.0) as (figure, (axes,)):
        for number, result in enumerate(results):
            style, ranks = look(theme, number), range(1, len(result.cmc) + 1)
            axes.plot(ranks, [100 * value for value in result.cmc], label=_named(result, results), **style)
            printed = [rank for rank in ranks if f"rank{rank}" in result.mean]
            spread = [result.spread.get(f"rank{rank}") for rank in printed]
            axes.errorbar(
                printed,
                [100 * result.mean[f"rank{rank}"] for rank in printed],
                yerr=None if None in spread else [100 * float(value or 0) for value in spread],
                fmt=MARKERS[number % len(MARKERS)],
                color=style["color"],
                markersize=6,
                capsize=4,
                elinewidth=1.6,
            )
            if result.chance is not None:
                axes.plot(
                    1,
                    100 * result.chance,
                    "o",
                    markersize=9,
                    markerfacecolor="none",
                    markeredgecolor=style["color"],
                    markeredgewidth=1.6,
                    linestyle="none",
                    label=f"{series_name(result, results)}: chance {100 * result.chance:.1f} %",
                )
        axes.set_ylim(0, 102)
        axes.set_xlabel("rank k")
        axes.set_ylabel("queries matched within rank k (%)")
        axes.set_title(_shared_title("CMC", results), loc="left")
        longest = max((len(result.cmc) for result in results), default=1)
        axes.set_xticks(sorted({1, *range(5, longest + 1, max(5, longest // 100 * 25))}))
        legend(figure, axes)
        return save(figure, theme, form)


def evaluation_curves(
    evaluations: Sequence[Measured], results: Sequence[Result], theme: Theme = LIGHT, form: Form = "png"
) -> bytes:
    """Plot the test scores of the evaluated epochs: one color for each protocol, one dash style for each score."""
    protocols = list(dict.fromkeys(item.protocol for item in evaluations))
    with figure_of(theme, height=3.8) as (figure, (axes,)):
        for number, protocol in enumerate(protocols):
            of_protocol = [item for item in evaluations if item.protocol == protocol]
            for style, (score, label) in enumerate(SCORES.items()):
                points = [(item.epoch, 100 * item.values[score]) for item in of_protocol if score in item.values]
                if points:
                    style = {**look(theme, number), "linestyle": DASHES[style]}
                    marker = {"marker": MARKERS[number % len(MARKERS)], "markersize": 5}
                    axes.plot(*zip(*points), label=f"{protocol}: {label}", **style, **marker)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("score on the test set (%)")
        axes.set_title(_shared_title("During training", results), loc="left")
        whole_numbers(axes)
        legend(figure, axes, columns=len(SCORES))
        return save(figure, theme, form)


def series_name(result: Result, among: Sequence[Result]) -> str:
    """Name of a result in a legend: its mode if the modes of all results differ, otherwise its name.

    >>> results = [Result("a", {"mode": "all"}, {}, {}, ()), Result("b", {"mode": "indoor"}, {}, {}, ())]
    >>> series_name(results[0], results), series_name(results[0], results[:1])
    ('all', 'all')
    """
    modes = [other.conditions.get("mode") for other in among]
    return str(result.conditions["mode"]) if None not in modes and len(set(modes)) == len(modes) else result.name


def _named(result: Result, among: Sequence[Result]) -> str:
    name = series_name(result, among)
    return f"{name}: rank-1 {100 * result.mean['rank1']:.1f} %" if "rank1" in result.mean else name


def _shared_title(what: str, results: Sequence[Result]) -> str:
    """Title with the conditions that all results share, in at most two lines."""
    shared = {
        key: value
        for key, value in (results[0].conditions if results else {}).items()
        if all(result.conditions.get(key) == value for result in results)
    }
    first = ", ".join(str(shared[key]) for key in ("protocol", "direction") if key in shared)
    words: Mapping[str, Callable[[Any], str]] = {
        "mode": lambda value: f"mode {value}",
        "shots": lambda value: "single-shot" if value == 1 else f"{value}-shot",
        "trials": lambda value: "1 trial" if value == 1 else f"{value} trials",
        "re_ranking": lambda value: "no re-ranking" if value == "none" else f"re-ranking {value}",
    }
    second = ", ".join(say(shared[key]) for key, say in words.items() if key in shared)
    return "\n".join(line for line in (f"{what}: {first}" if first else what, second) if line)
