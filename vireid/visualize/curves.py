"""Curves of a run: losses and learning rate, evaluations in between, CMC. PNG, for a light and a dark page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vireid.core.errors import UserError, nearest
from vireid.runs.reading import Epochs, Measured, Result
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

SCORES = {"rank1": "rank-1", "mAP": "mAP", "mINP": "mINP"}


def loss_curves(epochs: Epochs, theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Mean of each term over each epoch, and below it the learning rate.

    The loss axis is logarithmic where all values are above 0 and the largest is over 30 times the smallest.
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
    """One loss term over the epochs of several runs, a line for each run that has it.

    Errors: UserError where none has.
    """
    having = {name: epochs for name, epochs in runs.items() if term in epochs.terms}
    if not having:
        known = sorted({other for epochs in runs.values() for other in epochs.terms})
        raise UserError(f"no run has a loss term {term!r}{nearest(term, known)} (there are: {', '.join(known)})")
    with figure_of(theme, height=4.0) as (figure, (axes,)):
        for number, (name, epochs) in enumerate(having.items()):
            axes.plot(epochs.epoch, epochs.terms[term], label=name, **look(theme, number), **dots(epochs.epoch))
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{term}: mean of an epoch")
        axes.set_ylim(bottom=0)
        whole_numbers(axes)
        legend(figure, axes)
        return save(figure, theme, form)


def cmc_curves(results: Sequence[Result], theme: Theme = LIGHT, form: Form = "png") -> bytes:
    """Rank on x, share of queries on y: the mean curve of each protocol.

    Bars at the printed ranks are one sample standard deviation over the trials to each side. A ring at rank 1 is
    chance, where the evaluation worked it out; a whole curve of chance cannot be made from the saved results.
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
        axes.set_ylabel("queries answered within rank k (%)")
        axes.set_title(_shared_title("CMC", results), loc="left")
        longest = max((len(result.cmc) for result in results), default=1)
        axes.set_xticks(sorted({1, *range(5, longest + 1, max(5, longest // 100 * 25))}))
        legend(figure, axes)
        return save(figure, theme, form)


def evaluation_curves(
    evaluations: Sequence[Measured], results: Sequence[Result], theme: Theme = LIGHT, form: Form = "png"
) -> bytes:
    """Scores on the test set of the epochs that were evaluated: a colour for each protocol, dashes for each score."""
    protocols = list(dict.fromkeys(item.protocol for item in evaluations))
    with figure_of(theme, height=3.8) as (figure, (axes,)):
        for number, protocol in enumerate(protocols):
            own = [item for item in evaluations if item.protocol == protocol]
            for style, (score, label) in enumerate(SCORES.items()):
                points = [(item.epoch, 100 * item.values[score]) for item in own if score in item.values]
                if points:
                    style = {**look(theme, number), "linestyle": DASHES[style]}
                    marker = {"marker": MARKERS[number % len(MARKERS)], "markersize": 5}
                    axes.plot(*zip(*points), label=f"{protocol}: {label}", **style, **marker)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("score on the test set (%)")
        axes.set_title(_shared_title("While training", results), loc="left")
        whole_numbers(axes)
        legend(figure, axes, columns=len(SCORES))
        return save(figure, theme, form)


def series_name(result: Result, among: Sequence[Result]) -> str:
    """What tells this result from the others: its mode, or its name where the modes do not differ.

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
    """The conditions that all results share, in two lines at most."""
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
